//! Says for which machine this is built: the dependencies of others aren't linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=HOST={target}");
}
