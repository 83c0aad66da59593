//! What the CPU quota of a cgroup takes from the program.

use std::fs;
use std::path::{Path, PathBuf};

/// The cgroups that this process is in, the innermost first.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    folders: Vec<PathBuf>,
}

impl Quota {
    /// That of this process; where there are no cgroups there is none.
    pub fn of_this_process() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::of(Path::new("/sys/fs/cgroup"), &groups)
    }

    /// Finds the cgroups under `root` (version 2) that `groups`, the text of
    /// `/proc/self/cgroup`, names.
    fn of(root: &Path, groups: &str) -> Self {
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let Some(own) = own else {
            return Self::default();
        };
        let innermost = root.join(own);
        let folders = innermost
            .ancestors()
            .take_while(|folder| folder.starts_with(root))
            .filter(|folder| folder.join("cpu.stat").is_file());
        Self {
            folders: folders.map(Path::to_owned).collect(),
        }
    }

    /// The least quota, in cores; none = as many as there are.
    pub fn cores(&self) -> Option<f64> {
        let quota = |folder: &PathBuf| {
            let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
            let (quota, period) = text.trim().split_once(' ')?;
            Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
        };
        self.folders.iter().filter_map(quota).reduce(f64::min)
    }

    /// How long threads were held up since the cgroups were made.
    pub fn throttled_ns(&self) -> u64 {
        let throttled = |folder: &PathBuf| {
            let text = fs::read_to_string(folder.join("cpu.stat")).ok()?;
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("throttled_usec "));
            line?.trim().parse::<u64>().ok()
        };
        // Each group counts what its own quota took.
        let sum = self.folders.iter().filter_map(throttled).sum::<u64>();
        sum.saturating_mul(1000)
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
        let none = Quota::of(&root, "12:cpu:/pod\n");
        assert_eq!((none.cores(), none.throttled_ns()), (None, 0));
        fs::remove_dir_all(&root).expect("it is there");
    }
}
