//! `rbuild registry serve`, and the way to `registry limits`.

use builder::serve::{Htpasswd, RegistryServer, ServeError, ServeOptions, TlsFiles, Writing};

use super::allowance;
use crate::args::{Global, RegistryCommand, ServeArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// Runs one of the commands of `registry`.
pub fn run(command: &RegistryCommand, global: &Global, environment: &Environment) -> Result<(), Failure> {
    match command {
        RegistryCommand::Serve(args) => serve(args, global, environment),
        RegistryCommand::Limits(args) => allowance::run(args, global, environment),
    }
}

/// Serves until it is told to stop, which is its ordinary end. Prints the address once it answers.
fn serve(args: &ServeArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(TlsFiles { certificate: certificate.clone(), key: key.clone() })
        }
        // One without the other is refused with the command line.
        (Some(_) | None, _) => None,
    };
    let writing = if args.read_only { Writing::Refused } else { Writing::Allowed };
    let (address, file) = (args.listen, args.htpasswd.clone());
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    open.until_stopped(|stop| async move {
        let passwords = file.as_deref().map(Htpasswd::read).transpose()?;
        let options = ServeOptions { address, writing, tls, passwords };
        let server = RegistryServer::bind(&session, options).await?;
        super::print(&format!("{}\n", server.url()?));
        server.run(stop).await;
        Ok::<_, ServeError>(())
    })
}
