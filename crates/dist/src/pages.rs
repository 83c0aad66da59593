//! Manual pages and completions, made from the definitions of the command lines.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;

/// Writes `man/man1/NAME.1` and `completions/…` of every program below `directory`.
pub(crate) fn write(directory: &Path) -> anyhow::Result<()> {
    let manual = directory.join("man/man1");
    let completions = directory.join("completions");
    for folder in [&manual, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    }
    let [over_nats, over_tcp] = encarno_receiver::commands();
    for command in [encarno::cli::command(), over_nats, over_tcp] {
        let name = command.get_name().to_owned();
        clap_mangen::generate_to(command.clone(), &manual)
            .with_context(|| format!("can't write the manual pages of {name}"))?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut Command::clone(&command), &name, &completions)
                .with_context(|| format!("can't write the completions of {name}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_program_and_command_has_a_page_and_every_shell_completions() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let page = |name: &str| fs::read_to_string(folder.path().join("man/man1").join(name));
        for name in [
            "encarno.1",
            "encarno-hit.1",
            "encarno-target.1",
            "wrpc-wasmtime-nats.1",
            "wrpc-wasmtime-tcp-serve.1",
        ] {
            assert!(page(name).unwrap().contains(".SH SYNOPSIS"), "{name}");
        }
        assert!(page("encarno-hit.1").unwrap().contains("rate"));
        for name in [
            "encarno.bash",
            "_encarno",
            "encarno.fish",
            "_wrpc-wasmtime-nats",
        ] {
            let file = folder.path().join("completions").join(name);
            assert!(fs::metadata(&file).unwrap().len() > 500, "{name}");
        }
    }
}
