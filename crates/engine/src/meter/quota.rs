//! The CPU quota of the cgroups of this process.

use std::fs;
use std::path::{Path, PathBuf};

/// The cgroups of this process, the innermost first.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    folders: Vec<PathBuf>,
}

impl Quota {
    /// The quota of this process; empty if there are no cgroups.
    pub fn of_this_process() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::of(Path::new("/sys/fs/cgroup"), &groups)
    }

    /// Finds the cgroups under `root` that the text of `/proc/self/cgroup` names: those
    /// of version 2, and the CPU cgroups of version 1.
    fn of(root: &Path, groups: &str) -> Self {
        let folders = groups.lines().flat_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
                return Vec::new();
            };
            let mounted = match controllers {
                "" => root.to_owned(),
                names if names.split(',').any(|name| name == "cpu") => root.join("cpu"),
                _ => return Vec::new(),
            };
            let innermost = mounted.join(group.trim_start_matches('/'));
            let around = innermost.ancestors();
            let around = around.take_while(|folder| folder.starts_with(&mounted));
            let counting = around.filter(|folder| folder.join("cpu.stat").is_file());
            counting.map(Path::to_owned).collect()
        });
        Self {
            folders: folders.collect(),
        }
    }

    /// The smallest quota, in cores; `None` if there is no quota.
    pub fn cores(&self) -> Option<f64> {
        let quota = |folder: &PathBuf| {
            let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
            let text = match read("cpu.max") {
                Some(text) => text,
                None => format!(
                    "{} {}",
                    read("cpu.cfs_quota_us")?.trim(),
                    read("cpu.cfs_period_us")?
                ),
            };
            let (quota, period) = text.trim().split_once(' ')?;
            let cores = quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?;
            // In version 1, -1 means no quota.
            (cores > 0.0).then_some(cores)
        };
        self.folders.iter().filter_map(quota).reduce(f64::min)
    }

    /// The time for which quotas held threads up, since the cgroups were made.
    pub fn throttled_ns(&self) -> u64 {
        let throttled = |folder: &PathBuf| {
            let text = fs::read_to_string(folder.join("cpu.stat")).ok()?;
            text.lines().find_map(|line| {
                let (name, value) = line.split_once(' ')?;
                let unit_ns = match name {
                    "throttled_usec" => 1000,
                    "throttled_time" => 1,
                    _ => return None,
                };
                Some(value.trim().parse::<u64>().ok()?.saturating_mul(unit_ns))
            })
        };
        // Each cgroup counts the time that its own quota held threads up.
        self.folders.iter().filter_map(throttled).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Quota;

    #[test]
    fn the_quota_of_the_process_and_of_the_groups_around_it() {
        let root = std::env::temp_dir().join(format!("encarno-quota-{}", std::process::id()));
        let inner = root.join("pod/container");
        fs::create_dir_all(&inner).expect("a folder");
        let write = |folder: &str, name: &str, text: &str| {
            fs::write(root.join(folder).join(name), text).expect("written");
        };
        write("pod/container", "cpu.max", "max 100000\n");
        write(
            "pod/container",
            "cpu.stat",
            "usage_usec 9\nthrottled_usec 5\n",
        );
        write("pod", "cpu.max", "50000 100000\n");
        write(
            "pod",
            "cpu.stat",
            "usage_usec 9\nnr_throttled 3\nthrottled_usec 1500\n",
        );
        let quota = Quota::of(&root, "0::/pod/container\n");
        assert_eq!(
            (quota.cores(), quota.throttled_ns()),
            (Some(0.5), 1_505_000)
        );
        fs::create_dir_all(root.join("cpu/pod")).expect("a folder");
        write("cpu/pod", "cpu.cfs_quota_us", "10000\n");
        write("cpu/pod", "cpu.cfs_period_us", "100000\n");
        write(
            "cpu/pod",
            "cpu.stat",
            "nr_throttled 3\nthrottled_time 2500\n",
        );
        write("cpu", "cpu.cfs_quota_us", "-1\n");
        write("cpu", "cpu.cfs_period_us", "100000\n");
        write("cpu", "cpu.stat", "nr_throttled 0\nthrottled_time 0\n");
        let first = Quota::of(&root, "3:memory:/pod\n12:cpu,cpuacct:/pod\n");
        assert_eq!((first.cores(), first.throttled_ns()), (Some(0.1), 2500));
        let none = Quota::of(&root, "3:memory:/pod\n");
        assert_eq!((none.cores(), none.throttled_ns()), (None, 0));
        fs::remove_dir_all(&root).expect("it is there");
    }
}
