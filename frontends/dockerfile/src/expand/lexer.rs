//! The walk over a word.

use std::collections::BTreeSet;

use super::{Escapes, Fault, Lexed, LexedWord, Mode, Quotes, Unset, Values};

/// How deep substitutions may nest.
const MAX_DEPTH: usize = 100;

/// Walks over a text once, from left to right.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    values: &'a Values<'a>,
    escape: char,
    mode: Mode,
    depth: usize,
    matched: BTreeSet<String>,
    unmatched: BTreeSet<String>,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str, values: &'a Values<'a>, escape: char, mode: Mode) -> Self {
        let (matched, unmatched) = Default::default();
        Self { text, at: 0, values, escape, mode, depth: 0, matched, unmatched }
    }

    pub fn finish(mut self) -> Result<Lexed, Fault> {
        let output = self.walk(None, self.mode.escapes)?;
        let (text, words) = output.finish();
        Ok(Lexed { text, words, matched: self.matched, unmatched: self.unmatched })
    }

    pub fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    pub fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub fn take_if(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    pub fn escape(&self) -> char {
        self.escape
    }

    pub fn keeps_unset(&self) -> bool {
        self.mode.unset == Unset::Keep
    }

    pub fn value(&mut self, name: &str) -> Option<String> {
        let value = (self.values)(name);
        let names = if value.is_some() { &mut self.matched } else { &mut self.unmatched };
        names.insert(name.to_owned());
        value
    }

    /// The expanded text up to an unquoted `stop`, which is consumed.
    pub fn nested(&mut self, stop: char, escapes: Escapes, unclosed: Fault) -> Result<String, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::TooDeep(MAX_DEPTH));
        }
        self.depth += 1;
        let output = self.walk(Some((stop, unclosed)), escapes)?;
        self.depth -= 1;
        Ok(output.text)
    }

    fn walk(&mut self, stop: Option<(char, Fault)>, escapes: Escapes) -> Result<Output, Fault> {
        let outer = std::mem::replace(&mut self.mode.escapes, escapes);
        let mut output = Output::default();
        while let Some(c) = self.peek() {
            if stop.as_ref().is_some_and(|(stop, _)| *stop == c) {
                self.next();
                self.mode.escapes = outer;
                return Ok(output);
            }
            self.step(c, &mut output)?;
        }
        self.mode.escapes = outer;
        stop.map_or(Ok(output), |(_, unclosed)| Err(unclosed))
    }

    fn step(&mut self, c: char, output: &mut Output) -> Result<(), Fault> {
        let start = self.at;
        let quotes = self.mode.quotes != Quotes::Ordinary;
        match c {
            '$' => {
                let value = self.dollar()?;
                output.splitting(&value, start, self.at);
            }
            '\'' if quotes => {
                let value = self.single_quoted()?;
                output.whole(&value, start, self.at);
            }
            '"' if quotes => {
                let value = self.double_quoted()?;
                output.whole(&value, start, self.at);
            }
            '<' => {
                self.angles();
                output.whole(&self.text[start..self.at], start, self.at);
            }
            c if c == self.escape => {
                self.next();
                self.next();
                let from = if self.mode.escapes == Escapes::Keep { start } else { start + c.len_utf8() };
                output.whole(&self.text[from..self.at], start, self.at);
            }
            _ => {
                self.next();
                output.splitting(&self.text[start..self.at], start, self.at);
            }
        }
        Ok(())
    }

    /// `<`, or `<<` with the blanks after it, which do not end a word.
    fn angles(&mut self) {
        self.next();
        if self.take_if('<') {
            while self.peek().is_some_and(|c| matches!(c, '\t' | '\r' | ' ')) {
                self.next();
            }
        }
    }

    fn single_quoted(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let length = self.text[start + 1..].find('\'').ok_or(Fault::SingleQuote)?;
        self.at = start + length + 2;
        let margin = usize::from(self.mode.quotes != Quotes::Keep);
        Ok(self.text[start + margin..self.at - margin].to_owned())
    }

    fn double_quoted(&mut self) -> Result<String, Fault> {
        self.next();
        let mut result = String::new();
        loop {
            match self.peek().ok_or(Fault::DoubleQuote)? {
                '"' => {
                    self.next();
                    let kept = self.mode.quotes == Quotes::Keep;
                    return Ok(if kept { format!("\"{result}\"") } else { result });
                }
                '$' => result.push_str(&self.dollar()?),
                c if c == self.escape => {
                    self.next();
                    self.escaped_in_quotes(&mut result);
                }
                c => {
                    self.next();
                    result.push(c);
                }
            }
        }
    }

    /// Between double quotes, only `"`, `$` and the escape character can be escaped; before
    /// anything else it stands for itself.
    fn escaped_in_quotes(&mut self, result: &mut String) {
        let Some(c) = self.peek() else {
            return;
        };
        let special = c == '"' || c == '$' || c == self.escape;
        if !special {
            result.push(self.escape);
        }
        // In a pattern what stands for itself is escaped itself.
        if self.mode.escapes == Escapes::Keep {
            result.push(self.escape);
        }
        if special {
            self.next();
            result.push(c);
        }
    }
}

/// What was made so far: the text, and the same split into words.
#[derive(Default)]
struct Output {
    text: String,
    words: Vec<LexedWord>,
    word: Option<LexedWord>,
}

impl Output {
    /// Adds text that belongs to one word, white space or not.
    fn whole(&mut self, text: &str, start: usize, end: usize) {
        self.text.push_str(text);
        self.extend_word(text, start, end);
    }

    /// Adds text whose white space separates words.
    fn splitting(&mut self, text: &str, start: usize, end: usize) {
        self.text.push_str(text);
        let mut pieces = text.split(char::is_whitespace);
        self.extend_word(pieces.next().unwrap_or_default(), start, end);
        for piece in pieces {
            self.end_word();
            self.extend_word(piece, start, end);
        }
    }

    fn extend_word(&mut self, text: &str, start: usize, end: usize) {
        if text.is_empty() {
            return;
        }
        let word = self.word.get_or_insert_with(|| LexedWord { text: String::new(), place: start..end });
        word.text.push_str(text);
        word.place.end = end;
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn finish(mut self) -> (String, Vec<LexedWord>) {
        self.end_word();
        (self.text, self.words)
    }
}
