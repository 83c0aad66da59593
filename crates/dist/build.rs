//! Passes the target of this build on: dependencies for other targets aren't linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=HOST={target}");
}
