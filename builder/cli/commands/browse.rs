//! `rbuild browse`: an image's layers and files on the whole terminal.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use builder::error::Category;
use builder::event::StepId;
use builder::toolchain;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{BrowseArgs, Global};
use crate::browse::{self, State};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// Reads the image's layers, then shows them until the user leaves.
pub fn run(args: &BrowseArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !is_terminal || environment.get("TERM") == Some("dumb") {
        return Err(Failure::usage("browse needs a terminal; `rbuild layers` prints the same as text"));
    }
    let place = super::place(&args.image)?;
    let platform = super::platform(args.platform.as_deref())?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    super::say(&format!("reading the layers of {}\n", crate::progress::printable(args.image.as_bytes())));
    let read = open.runtime.block_on(async {
        let read = async {
            let image = toolchain::open_image(&session, &place, &platform, StepId(0)).await?;
            let mut layers = toolchain::layers(&session, &image).await?;
            for layer in &mut layers {
                layer.files = layer.files.load()?;
            }
            Ok(layers)
        };
        tokio::select! {
            read = read => Some(read),
            () = super::interrupted() => None,
        }
    });
    drop(session);
    let layers = match read {
        Some(Ok(layers)) => layers,
        Some(Err(error)) => {
            open.close();
            return Err(super::mount::failure(error));
        }
        None => {
            open.close();
            return Err(Failure::new(Category::Interrupted, "cancelled"));
        }
    };
    let ended = Arc::new(AtomicBool::new(false));
    for kind in [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()] {
        let (ended, _inside) = (ended.clone(), open.runtime.enter());
        // Before the terminal is taken over.
        let Ok(mut signal) = signal(kind) else { continue };
        open.runtime.spawn(async move {
            signal.recv().await;
            ended.store(true, Ordering::Relaxed);
        });
    }
    let mut state = State::new(args.image.clone(), layers);
    let shown = browse::show(&mut state, || ended.load(Ordering::Relaxed));
    open.close();
    shown.map_err(|error| Failure::new(Category::Local, format!("the terminal: {error}")))?;
    match ended.load(Ordering::Relaxed) {
        true => Err(Failure::new(Category::Interrupted, "cancelled")),
        false => Ok(()),
    }
}
