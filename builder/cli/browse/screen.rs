//! The terminal: taken over while the browser runs, and as before afterwards, however that ends.

use std::io::{self, Stdout};
use std::sync::Once;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::draw::draw;
use super::state::{Key, Next, State};

/// How often it is looked whether the process is to end.
const LOOK: Duration = Duration::from_millis(100);

/// The terminal while it is ours.
struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    fn take() -> io::Result<Self> {
        restore_before_a_panic_speaks();
        enable_raw_mode()?;
        // From here on it is given back.
        let entered = execute!(io::stdout(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        entered.map(Self).inspect_err(|_| restore())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// A terminal that is gone needs nothing.
fn restore() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

fn restore_before_a_panic_speaks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}

/// Shows the browser until somebody leaves it, or `ended` says that the process is to end.
pub fn show(state: &mut State, ended: impl Fn() -> bool) -> io::Result<()> {
    let mut screen = Screen::take()?;
    let mut stale = true;
    while !ended() {
        if stale {
            screen.0.draw(|frame| draw(frame, state))?;
        }
        stale = event::poll(LOOK)?;
        if stale && let Event::Key(pressed) = event::read()? {
            match key(pressed).map(|key| state.press(key)) {
                Some(Next::Quit) => break,
                Some(Next::Continue) | None => {}
            }
        }
    }
    Ok(())
}

/// What a key means; nothing for one that has no use here.
fn key(pressed: KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    if pressed.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    if pressed.modifiers.contains(KeyModifiers::CONTROL) {
        return (pressed.code == KeyCode::Char('c')).then_some(Key::Interrupt);
    }
    const KEYS: [(KeyCode, Key); 13] = [
        (KeyCode::Up, Key::Up),
        (KeyCode::Down, Key::Down),
        (KeyCode::Left, Key::Left),
        (KeyCode::Right, Key::Right),
        (KeyCode::PageUp, Key::PageUp),
        (KeyCode::PageDown, Key::PageDown),
        (KeyCode::Home, Key::Home),
        (KeyCode::End, Key::End),
        (KeyCode::Enter, Key::Enter),
        (KeyCode::Tab, Key::Tab),
        (KeyCode::BackTab, Key::BackTab),
        (KeyCode::Esc, Key::Escape),
        (KeyCode::Backspace, Key::Backspace),
    ];
    if let KeyCode::Char(letter) = pressed.code {
        return Some(Key::Character(letter));
    }
    KEYS.into_iter().find(|(code, _)| *code == pressed.code).map(|(_, key)| key)
}
