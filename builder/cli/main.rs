//! The binary `rbuild`: the only place that prints, exits and reads the environment.

mod args;
mod browse;
mod client;
mod commands;
mod engine;
mod environment;
mod failure;
mod host;
mod jobs;
mod place;
mod progress;
mod proxies;
mod remark;
mod report;
mod template;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    runtime_exec::become_child_if_asked();
    let environment = environment::Environment::read();
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            drop(error.print());
            let code = if error.use_stderr() { args::usage_code(std::env::args_os()) } else { 0 };
            return ExitCode::from(code);
        }
    };
    match commands::dispatch(&cli, &environment) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            drop(std::io::stderr().lock().write_all(failure.text.as_bytes()));
            ExitCode::from(failure.code)
        }
    }
}
