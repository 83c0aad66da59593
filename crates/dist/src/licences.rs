//! The licences of the crates that are linked into a program.
//!
//! `cargo metadata` names the crates, and each crate's own files are quoted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

/// The most bytes of a licence file; a larger file is something else.
const TEXT_BYTES_MAX: u64 = 256 << 10;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    manifest_path: String,
    /// `None` for a package of this workspace.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// The licences of all crates from registries that these packages link.
pub(crate) fn of(names: &[String]) -> anyhow::Result<String> {
    let metadata = metadata()?;
    let packages: HashMap<&str, &Package> = (metadata.packages.iter())
        .map(|package| (&*package.id, package))
        .collect();
    let linked = linked(&metadata, names)?;
    let mut text = String::new();
    // Many crates have the same text, which is quoted once, after the list of its crates.
    let mut quoted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    writeln!(text, "The crates that are linked into this program:\n")?;
    for package in linked.iter().filter_map(|id| packages.get(&**id)) {
        if package.source.is_none() {
            continue;
        }
        let name = format!("{} {}", package.name, package.version);
        let licence = package.license.as_deref().unwrap_or("see its text below");
        let from = package.repository.as_deref().unwrap_or("");
        writeln!(text, "{name}: {licence} {from}")?;
        let folder = Path::new(&package.manifest_path).parent();
        for quote in folder.map(texts).transpose()?.unwrap_or_default() {
            quoted.entry(quote).or_default().insert(name.clone());
        }
    }
    for (quote, names) in quoted {
        let names: Vec<_> = names.into_iter().collect();
        writeln!(
            text,
            "\n{}\n{}:\n\n{quote}",
            "-".repeat(80),
            names.join(", ")
        )?;
    }
    Ok(text)
}

fn metadata() -> anyhow::Result<Metadata> {
    let host = env!("HOST");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", host])
        .output()
        .context("can't run cargo")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("can't read what cargo metadata says")
}

/// The packages that the named ones link, sorted by name, without dependencies of tests
/// and of build scripts.
fn linked(metadata: &Metadata, names: &[String]) -> anyhow::Result<Vec<String>> {
    let nodes: HashMap<&str, &Node> = (metadata.resolve.nodes.iter())
        .map(|node| (&*node.id, node))
        .collect();
    let mut seen = BTreeSet::new();
    let mut open = Vec::new();
    for name in names {
        let own = |package: &&Package| package.name == *name && package.source.is_none();
        let Some(package) = metadata.packages.iter().find(own) else {
            bail!("there is no package {name} in this workspace");
        };
        open.push(&*package.id);
    }
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let dependencies = nodes.get(id).map(|node| &*node.deps).unwrap_or_default();
        let is_linked = |dependency: &&Dependency| {
            (dependency.dep_kinds.iter()).any(|kind| kind.kind.is_none())
        };
        open.extend((dependencies.iter().filter(is_linked)).map(|dependency| &*dependency.pkg));
    }
    let order: HashMap<&str, (&str, &str)> = (metadata.packages.iter())
        .map(|package| (&*package.id, (&*package.name, &*package.version)))
        .collect();
    let mut linked: Vec<_> = seen.into_iter().map(str::to_owned).collect();
    linked.sort_by_key(|id| order.get(&**id).copied());
    Ok(linked)
}

/// The licence texts in a crate's folder.
fn texts(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("can't read {}: run cargo fetch", folder.display()))?;
    let mut texts = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_ascii_uppercase();
        let is_licence = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"]
            .iter()
            .any(|begin| name.starts_with(begin));
        let metadata = entry.metadata()?;
        if is_licence && metadata.is_file() && metadata.len() <= TEXT_BYTES_MAX {
            let text = String::from_utf8_lossy(&fs::read(entry.path())?).replace('\r', "");
            texts.push(text.trim().to_owned());
        }
    }
    texts.sort();
    Ok(texts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_program_names_what_it_links_and_no_more() {
        let text = of(&["encarno".to_owned()]).unwrap();
        assert!(text.contains("\nclap 4"), "clap is linked");
        assert!(text.contains("\nrustls 0"), "rustls is linked");
        assert!(text.contains("\nwasmtime 4"), "it runs components");
        let of_bridge = of(&["encarno-k6-bridge".to_owned()]).unwrap();
        assert!(
            !of_bridge.contains("\nwasmtime 4"),
            "k6 calls components, and runs none"
        );
        assert!(!text.contains("\nproptest 1"), "proptest is of the tests");
        assert!(
            !text.contains("\nencarno"),
            "own packages have the project's licence"
        );
        assert!(text.contains("Permission is hereby granted, free of charge"));
        let error = of(&["nobody".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("no package nobody"), "{error}");
    }
}
