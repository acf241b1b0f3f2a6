//! A load generator for MCP servers over streamable HTTP that checks every answer.

mod connection;
mod histogram;
mod message;
mod options;
mod pipe;
mod process;
mod report;
mod round;
mod sessions;

use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            report::line(options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("load: {reason}; load --help shows all options");
            return ExitCode::from(64);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&options)),
        Err(error) => Err(format!("cannot start the runtime: {error}")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("load: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for. True when every answer was right.
async fn run(options: &Options) -> Result<bool, String> {
    if let Some((held, count)) = options.held {
        let outcome = sessions::run(options, held, count).await?;
        report::sessions(options, &outcome);
        return Ok(outcome.errors == 0);
    }
    if let Some(command) = &options.pipe {
        let mut rounds = Vec::new();
        for _ in 0..options.rounds {
            rounds.push(pipe::run(options, command)?);
        }
        let right = rounds.iter().all(|round| round.errors == 0);
        report::rounds(options, &[rounds]);
        return Ok(right);
    }
    let mut results = vec![Vec::new(); options.targets.len()];
    for _ in 0..options.rounds {
        for (target, rounds) in options.targets.iter().zip(&mut results) {
            rounds.push(round::run(options, target).await?);
        }
    }
    report::rounds(options, &results);
    Ok(results.iter().flatten().all(|round| round.errors == 0))
}
