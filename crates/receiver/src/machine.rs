//! The memory of the machine, or the smaller limit of a control group.

use std::path::{Path, PathBuf};

/// The memory that this process may use; `None` if the system doesn't tell.
pub(crate) fn memory_bytes() -> Option<u64> {
    memory_below(Path::new("/"))
}

/// The same, with the system's files below `root`.
fn memory_below(root: &Path) -> Option<u64> {
    let machine = std::fs::read_to_string(root.join("proc/meminfo"))
        .ok()
        .and_then(|text| memory_total(&text));
    machine.into_iter().chain(groups(root)).min()
}

fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The limits of the control groups of this process, of versions 1 and 2, and of the
/// groups around them.
fn groups(root: &Path) -> Vec<u64> {
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let mut limits = Vec::new();
    for line in groups.lines() {
        // The fields are NUMBER:CONTROLLERS:PATH; in version 2 without controllers.
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (kind, file) = match controllers {
            "" => ("cgroup2", "memory.max"),
            list if list.split(',').any(|name| name == "memory") => {
                ("cgroup", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        for mount in mounts.lines() {
            if let Some((top, mut group)) = group_at(mount, kind, path) {
                let top = root.join(top.strip_prefix("/").unwrap_or(&top));
                group = root.join(group.strip_prefix("/").unwrap_or(&group));
                while group.starts_with(&top) {
                    limits.extend(limit(&group.join(file)));
                    if !group.pop() {
                        break;
                    }
                }
            }
        }
    }
    limits
}

/// The place where this kind of hierarchy is mounted, and the group of this path in it.
fn group_at(mount: &str, kind: &str, path: &str) -> Option<(PathBuf, PathBuf)> {
    let (place, system) = mount.split_once(" - ")?;
    let mut system = system.split(' ');
    let is_of_kind = system.next() == Some(kind);
    let options = system.nth(1).unwrap_or_default();
    if !is_of_kind || (kind == "cgroup" && !options.split(',').any(|name| name == "memory")) {
        return None;
    }
    // The fields are ID PARENT DEVICE ROOT PLACE …
    let mut fields = place.split(' ').skip(3);
    let (root, top) = (fields.next()?, PathBuf::from(fields.next()?));
    // In a container, the path may be relative to its own group, or the path outside.
    let inner = path.strip_prefix(root).unwrap_or(path);
    let group = top.join(inner.trim_start_matches('/'));
    Some((top, group))
}

/// Reads a limit. `max`, or a number beyond all memory, means no limit.
fn limit(file: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    text.trim().parse().ok().filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::memory_below;

    const MIB: u64 = 1 << 20;

    /// The memory by these files of a system, in a directory of their own.
    fn memory_of(files: &[(&str, &str)]) -> Option<u64> {
        let root = encarno_test_peers::scratch("machine");
        for (file, text) in files {
            let file = root.join(file);
            std::fs::create_dir_all(file.parent().unwrap_or(Path::new("/"))).expect("a directory");
            std::fs::write(file, text).expect("a file");
        }
        let memory = memory_below(&root);
        let _ = std::fs::remove_dir_all(&root);
        memory
    }

    #[test]
    fn the_smallest_limit_counts() {
        let machine = (
            "proc/meminfo",
            "MemTotal:        8388608 kB\nMemFree: 1 kB\n",
        );
        let v2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let v1 = "36 25 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  37 25 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        assert_eq!(memory_of(&[machine]), Some(8192 * MIB), "no groups");
        assert_eq!(memory_of(&[]), None);
        let group = |limit| {
            memory_of(&[
                machine,
                ("proc/self/cgroup", "0::/a/b\n"),
                ("proc/self/mountinfo", v2),
                ("sys/fs/cgroup/a/b/memory.max", limit),
                ("sys/fs/cgroup/a/memory.max", "max\n"),
            ])
        };
        assert_eq!(group("3221225472\n"), Some(3072 * MIB));
        assert_eq!(group("max\n"), Some(8192 * MIB));
        let around = memory_of(&[
            machine,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("proc/self/mountinfo", v2),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "1073741824\n"),
        ]);
        assert_eq!(around, Some(1024 * MIB), "the limit of a group around it");
        let first = memory_of(&[
            machine,
            (
                "proc/self/cgroup",
                "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n",
            ),
            ("proc/self/mountinfo", v1),
            (
                "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes",
                "536870912\n",
            ),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ]);
        assert_eq!(first, Some(512 * MIB), "version 1");
        // The group has its path outside of the container.
        let inside = memory_of(&[
            machine,
            ("proc/self/cgroup", "5:memory:/docker/x\n"),
            (
                "proc/self/mountinfo",
                &v1.replace(
                    " / /sys/fs/cgroup/memory",
                    " /docker/x /sys/fs/cgroup/memory",
                ),
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"),
        ]);
        assert_eq!(inside, Some(256 * MIB), "version 1 within a container");
        let hybrid = memory_of(&[
            machine,
            ("proc/self/cgroup", "5:memory:/a\n0::/b\n"),
            ("proc/self/mountinfo", &[v2, v1].concat()),
            (
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "134217728\n",
            ),
        ]);
        assert_eq!(hybrid, Some(128 * MIB), "both versions");
    }
}
