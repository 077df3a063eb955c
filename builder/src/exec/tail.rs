//! The last lines a step wrote, for the message when it fails.

use std::collections::VecDeque;

const LINES: usize = 64;
const LONGEST_LINE: usize = 4096;

/// Keeps the end of a stream of bytes, by lines.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    lines: VecDeque<Vec<u8>>,
    open: Vec<u8>,
}

impl Tail {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = LONGEST_LINE.saturating_sub(self.open.len());
            self.open.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                let line = std::mem::take(&mut self.open);
                self.keep(line);
            }
        }
    }

    fn keep(&mut self, line: Vec<u8>) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The lines, oldest first; an unended last line counts.
    pub fn into_lines(mut self) -> Vec<String> {
        if !self.open.is_empty() {
            let line = std::mem::take(&mut self.open);
            self.keep(line);
        }
        self.lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).trim_end_matches('\r').to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_join_over_pieces_and_old_ones_go() {
        let mut tail = Tail::default();
        tail.push(b"one\ntw");
        tail.push(b"o\r\n\nopen");
        assert_eq!(tail.clone().into_lines(), ["one", "two", "", "open"]);
        for number in 0..200 {
            tail.push(format!("{number}\n").as_bytes());
        }
        let lines = tail.into_lines();
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines.last().unwrap(), "199");
    }

    #[test]
    fn a_line_without_end_does_not_grow() {
        let mut tail = Tail::default();
        for _ in 0..100 {
            tail.push(&[b'x'; 1000]);
        }
        assert_eq!(tail.into_lines()[0].len(), LONGEST_LINE);
    }
}
