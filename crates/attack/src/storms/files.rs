//! Broken files.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use encarno_test_peers::Random;

use crate::failure::Failure;
use crate::programs::{Program, ours};
use crate::row::{Row, number};
use crate::run::{Folder, target};

/// How long a command may take with a file of a few KiB, whatever it contains.
const COMMAND: Duration = Duration::from_secs(60);
/// Limits the command to 4 GiB of addresses.
const WITHIN_LIMITS: &str = "ulimit -v 4194304; exec \"$0\" \"$@\"";

/// The files that are changed, and the commands that read them. `@` is the file, `%`
/// another file to write, `&` the address of a target.
const COMMANDS: &[(&str, &[&str])] = &[
    ("results-damaged", &["stats", "@"]),
    ("results-damaged", &["show", "@"]),
    ("results-damaged", &["convert", "@", "-o", "%.csv"]),
    ("results-damaged", &["convert", "@", "-o", "%.ldjson"]),
    ("results-damaged", &["convert", "@", "-o", "%.phout"]),
    ("results-damaged", &["convert", "@", "-o", "%.seconds"]),
    ("results-damaged", &["convert", "@", "-o", "%.bin"]),
    ("results-damaged", &["convert", "@", "-o", "%.parquet"]),
    ("results-damaged", &["report", "@", "-o", "%.html"]),
    ("config", &["run", "--check", "@"]),
    ("input", &["show", "@"]),
    ("input", &["convert", "@", "-o", "%.nin"]),
    (
        "input",
        &[
            "hit",
            "&",
            "-i",
            "@",
            "--hits",
            "5",
            "--connections",
            "1",
            "--timeout",
            "1s",
        ],
    ),
];

/// The seeds of a fuzz target: small files of each kind.
fn seeds(name: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let folder = encarno_test_peers::root()
        .join("crates/fuzz/seeds")
        .join(name);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let bytes = std::fs::read(entry?.path())?;
        // For the fuzz target, the first byte of an input gives its format.
        files.push(bytes[usize::from(name == "input").min(bytes.len())..].to_vec());
    }
    files.sort();
    Ok(files)
}

pub(super) async fn broken(time: Duration) -> Result<Row, Failure> {
    let folder = Folder::new();
    let good = target()?;
    let address = format!("http://{}", good.address());
    let (mut random, mut row, mut files) = (Random::new(1), Row::default(), 0);
    let (until, mut slowest) = (Instant::now() + time, Duration::ZERO);
    while Instant::now() < until || files < COMMANDS.len() as u64 {
        let (kind, arguments) = COMMANDS[files as usize % COMMANDS.len()];
        let seeds = seeds(kind)?;
        let mut bytes = seeds[random.below(seeds.len())].clone();
        random.change(&mut bytes, &[]);
        let file = folder.file("file");
        std::fs::write(&file, &bytes)?;
        let began = Instant::now();
        let broke = command(&folder, &file, arguments, &address).await?;
        slowest = slowest.max(began.elapsed());
        files += 1;
        if let Some(broke) = broke {
            let kept = keep(&bytes)?;
            row.check(
                false,
                format!("{} {}: {broke}", arguments[0], kept.display()),
            );
        }
        if row.broken.len() > 3 {
            break;
        }
    }
    good.stop()?;
    row.thrown = format!("{} files", number(files));
    row.neighbours = format!("the slowest command took {:.1} s", slowest.as_secs_f64());
    Ok(row)
}

/// Keeps a file that broke something.
fn keep(bytes: &[u8]) -> Result<PathBuf, Failure> {
    let path = encarno_test_peers::scratch("broken").join("file");
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// Runs a command; returns what is wrong with its end. An error is right; a panic or a
/// signal isn't.
async fn command(
    folder: &Folder,
    file: &Path,
    arguments: &[&str],
    address: &str,
) -> Result<Option<String>, Failure> {
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", WITHIN_LIMITS])
        .arg(ours("encarno").get_program());
    for argument in arguments {
        match argument.strip_prefix('%') {
            _ if *argument == "@" => command.arg(file),
            _ if *argument == "&" => command.arg(address),
            Some(ending) => command.arg(folder.file(&format!("out{ending}"))),
            None => command.arg(argument),
        };
    }
    command.stdout(Stdio::null()).current_dir(&folder.0);
    let mut program = Program::start(command)?;
    let status = program.end(COMMAND).await?;
    let log = program.log_end();
    Ok(match status.map(|status| status.code()) {
        None => Some(format!("it goes on after {COMMAND:?}")),
        Some(Some(code)) if code != 101 && !log.contains("panicked") => None,
        _ => Some(format!("{status:?}: {log}")),
    })
}
