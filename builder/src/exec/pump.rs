//! What a step writes, read whole and in order.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::event::Stream;

const PIECE: usize = 64 * 1024;

/// Reads both pipes until their end. One thread reads both, so that what is written to one and
/// then to the other arrives in that order (as far as two pipes allow).
pub(super) fn pump(stdout: OwnedFd, stderr: OwnedFd, take: &mut dyn FnMut(Stream, Bytes)) -> io::Result<()> {
    let mut open = vec![(Stream::Stdout, File::from(stdout)), (Stream::Stderr, File::from(stderr))];
    let mut buffer = vec![0; PIECE];
    while !open.is_empty() {
        let ready = wait(&open)?;
        for position in ready.into_iter().rev() {
            let (stream, pipe) = &mut open[position];
            match pipe.read(&mut buffer) {
                Ok(0) => drop(open.remove(position)),
                Ok(count) => take(*stream, Bytes::copy_from_slice(&buffer[..count])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Positions of the pipes that can be read or have ended.
fn wait(open: &[(Stream, File)]) -> io::Result<Vec<usize>> {
    let mut fds: Vec<PollFd<'_>> =
        open.iter().map(|(_, pipe)| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)).collect();
    match poll(&mut fds, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(fds
        .iter()
        .enumerate()
        .filter(|(_, fd)| !fd.revents().is_empty())
        .map(|(position, _)| position)
        .collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn everything_arrives_and_the_end_is_seen() {
        let (out_read, out_write) = rustix::pipe::pipe().unwrap();
        let (err_read, err_write) = rustix::pipe::pipe().unwrap();
        let writer = std::thread::spawn(move || {
            let (mut out, mut err) = (File::from(out_write), File::from(err_write));
            for number in 0..2000 {
                writeln!(out, "out {number}").unwrap();
                writeln!(err, "err {number}").unwrap();
            }
        });
        let (mut out, mut err) = (Vec::new(), Vec::new());
        pump(out_read, err_read, &mut |stream, bytes| match stream {
            Stream::Stdout => out.extend_from_slice(&bytes),
            Stream::Stderr => err.extend_from_slice(&bytes),
        })
        .unwrap();
        writer.join().unwrap();
        assert_eq!(out.split(|byte| *byte == b'\n').count(), 2001);
        assert!(err.ends_with(b"err 1999\n"));
    }
}
