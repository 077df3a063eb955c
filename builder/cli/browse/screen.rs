//! The terminal: taken over while the browser runs, and as before afterwards, however that ends.

use std::io::{self, Stdout};
use std::sync::Once;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

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
    let events = events();
    screen.0.draw(|frame| draw(frame, state))?;
    while !ended() && !hung_up() {
        match events.recv_timeout(LOOK) {
            Ok(Event::Key(pressed)) => match key(pressed).map(|key| state.press(key)) {
                Some(Next::Quit) => break,
                Some(Next::Continue) | None => {}
            },
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        screen.0.draw(|frame| draw(frame, state))?;
    }
    Ok(())
}

/// What the terminal reports, read by a thread of its own: on a terminal that is gone, reading does not
/// come to an end.
fn events() -> Receiver<Event> {
    let (sender, events) = mpsc::channel();
    std::thread::spawn(move || while event::read().is_ok_and(|event| sender.send(event).is_ok()) {});
    events
}

/// Whether the other side of the terminal is gone.
fn hung_up() -> bool {
    let stdin = io::stdin();
    let mut asked = [PollFd::new(&stdin, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&now)).is_ok() && !asked[0].revents().is_empty()
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
