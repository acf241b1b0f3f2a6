//! The results, as a table or as JSON.
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

use serde_json::{Value, json};

use crate::{options::Options, round::Round, sessions::Outcome};

/// The reported parts of all latencies.
const PARTS: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// Prints a text.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    Some(match values.len() {
        0 => return None,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    })
}

fn round_json(options: &Options, target: usize, round: &Round) -> Value {
    let mut value = json!({
        "target": options.targets[target].url,
        "calls": round.latency.count(),
        "errors": round.errors,
        "first_error": round.first_error,
        "unsent": round.unsent,
        "seconds": round.seconds,
        "calls_per_second": round.per_second(),
        "bytes_per_answer": round.bytes as f64 / round.latency.count().max(1) as f64,
        "max_us": micros(round.latency.max()),
        "sizes_us": round.latency.sizes().map(|(size, count)| json!([micros(size), count])).collect::<Vec<_>>(),
    });
    for (name, part) in PARTS {
        let name = format!("{}_us", name.replace('.', "_"));
        value[name] = json!(micros(round.latency.quantile(part)));
    }
    let processes: Vec<Value> = options
        .pids
        .iter()
        .zip(&round.usage)
        .enumerate()
        .map(|(place, (watched, (before, after)))| {
            json!({"name": watched.name, "pids": watched.pids,
                   "peak_kib": after.peak_kib,
                   "cpu_ms": after.cpu_ms - before.cpu_ms,
                   "cpu_ms_per_call": round.cpu_ms_per_call(place),
                   "resident_kib_before": before.resident_kib,
                   "resident_kib_after": after.resident_kib})
        })
        .collect();
    value["processes"] = json!(processes);
    value
}

/// One figure of a target relative to the last target: median, least and most over the rounds.
fn ratio(
    own: &[Round],
    base: &[Round],
    figure: impl Fn(&Round, bool) -> Option<f64>,
) -> Option<[f64; 3]> {
    let ratios: Vec<f64> = own
        .iter()
        .zip(base)
        .filter_map(|(own, base)| Some(figure(own, true)? / figure(base, false)?))
        .filter(|ratio| ratio.is_finite())
        .collect();
    let least = ratios.iter().copied().reduce(f64::min)?;
    let most = ratios.iter().copied().reduce(f64::max)?;
    Some([median(ratios)?, least, most])
}

fn ratios(
    options: &Options,
    results: &[Vec<Round>],
    target: usize,
) -> [(&'static str, Option<[f64; 3]>); 3] {
    let (own, base) = (&results[target], &results[results.len() - 1]);
    let paired = options.pids.len() >= options.targets.len();
    let cpu = |round: &Round, is_own: bool| {
        let process = if is_own { target } else { results.len() - 1 };
        round.cpu_ms_per_call(process).filter(|_| paired)
    };
    [
        ("cpu_per_call", ratio(own, base, cpu)),
        ("calls_per_second", ratio(own, base, |round, _| Some(round.per_second()))),
        ("p50", ratio(own, base, |round, _| Some(micros(round.latency.quantile(0.5))))),
    ]
}

/// Prints all rounds of all targets, and how they compare.
pub(crate) fn rounds(options: &Options, results: &[Vec<Round>]) {
    if options.json {
        let all: Vec<Value> = (0..options.rounds)
            .flat_map(|turn| {
                results.iter().enumerate().map(move |(target, it)| (target, &it[turn]))
            })
            .map(|(target, round)| round_json(options, target, round))
            .collect();
        let compared: Vec<Value> = (0..results.len().saturating_sub(1))
            .map(|target| {
                let mut value = json!({"target": options.targets[target].url});
                for (name, found) in ratios(options, results, target) {
                    value[name] = found.map_or(Value::Null, |[median, least, most]| {
                        json!({"median": median, "min": least, "max": most})
                    });
                }
                value
            })
            .collect();
        let base = options.targets.last().map(|target| target.url.as_str());
        println!("{}", json!({"rounds": all, "ratios": compared, "base": base}));
        return;
    }
    println!(
        "{:<34} {:>9} {:>6} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "target", "calls", "errors", "calls/s", "p50 us", "p90", "p99", "p99.9", "max", "B/answer"
    );
    for turn in 0..options.rounds {
        for (target, rounds) in options.targets.iter().zip(results) {
            let round = &rounds[turn];
            print!(
                "{:<34} {:>9} {:>6} {:>9.0}",
                target.url,
                round.latency.count(),
                round.errors,
                round.per_second()
            );
            for (_, part) in PARTS {
                print!(" {:>8.0}", micros(round.latency.quantile(part)));
            }
            let bytes = round.bytes / round.latency.count().max(1);
            println!(" {:>9.0} {:>9}", micros(round.latency.max()), bytes);
            for (place, (watched, (before, after))) in
                options.pids.iter().zip(&round.usage).enumerate()
            {
                println!(
                    "  {:<32} {:>8.4} CPU ms/call, resident {} -> {} KiB",
                    watched.name,
                    round.cpu_ms_per_call(place).unwrap_or_default(),
                    before.resident_kib,
                    after.resident_kib
                );
            }
            if round.unsent > 0 {
                println!("  {} calls were due and not sent when the time was over", round.unsent);
            }
            if let Some(error) = &round.first_error {
                println!("  first error: {error}");
            }
        }
    }
    for target in 0..results.len().saturating_sub(1) {
        println!(
            "{} relative to {}",
            options.targets[target].url,
            options.targets[results.len() - 1].url
        );
        for (name, found) in ratios(options, results, target) {
            match found {
                Some([median, least, most]) => {
                    println!("  {name:<18} {median:>7.3}  ({least:.3} to {most:.3})");
                }
                None => println!("  {name:<18} not measured: give --pid for each target"),
            }
        }
    }
}

/// Prints what open sessions cost.
pub(crate) fn sessions(options: &Options, outcome: &Outcome) {
    let opened = outcome.opened.max(1) as f64;
    let processes: Vec<Value> = options
        .pids
        .iter()
        .zip(&outcome.usage)
        .enumerate()
        .map(|(place, (watched, [before, during, after]))| {
            let idle = outcome.idle_cpu.get(place);
            let more = during.resident_kib as f64 - before.resident_kib as f64;
            json!({"name": watched.name, "pids": watched.pids,
                   "idle_cpu": idle,
                   "resident_kib_before": before.resident_kib,
                   "resident_kib_open": during.resident_kib,
                   "resident_kib_after": after.resident_kib,
                   "resident_bytes_per_session": more * 1024.0 / opened,
                   "cpu_ms_per_session": (during.cpu_ms - before.cpu_ms) / opened})
        })
        .collect();
    if options.json {
        println!(
            "{}",
            json!({"sessions": outcome.opened, "errors": outcome.errors,
                   "first_error": outcome.first_error, "seconds": outcome.seconds,
                   "processes": processes})
        );
        return;
    }
    println!(
        "{} sessions opened in {:.3} s, {} errors",
        outcome.opened, outcome.seconds, outcome.errors
    );
    if let Some(error) = &outcome.first_error {
        println!("  first error: {error}");
    }
    for (watched, [before, during, after]) in options.pids.iter().zip(&outcome.usage) {
        let more = during.resident_kib as f64 - before.resident_kib as f64;
        println!(
            "  {:<20} resident {} -> {} KiB: {:.0} B/session, {:.4} CPU ms/session; {} KiB after",
            watched.name,
            before.resident_kib,
            during.resident_kib,
            more * 1024.0 / opened,
            (during.cpu_ms - before.cpu_ms) / opened,
            after.resident_kib
        );
    }
}
