//! CPU time of a process and its descendants, from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// CPU time in clock ticks (usually 10 ms each), children that have ended included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Ticks in user mode.
    pub user: u64,
    /// Ticks in the kernel.
    pub system: u64,
}

impl CpuTime {
    /// Of the process and of all processes below it that run now. Zero when it is gone.
    pub fn of_tree(pid: u32) -> Self {
        let all = processes();
        let mut sum = Self::default();
        let mut todo = vec![pid];
        while let Some(pid) = todo.pop() {
            if let Some(process) = all.get(&pid) {
                sum.user += process.time.user;
                sum.system += process.time.system;
            }
            todo.extend(all.iter().filter(|(_, child)| child.parent == pid).map(|(pid, _)| *pid));
        }
        sum
    }

    /// What has been spent since an earlier look at the same tree.
    pub fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }

    /// User and kernel time together.
    pub fn total(self) -> Duration {
        let ticks = self.user + self.system;
        Duration::from_micros(ticks * 1_000_000 / rustix::param::clock_ticks_per_second())
    }
}

struct Process {
    parent: u32,
    time: CpuTime,
}

fn processes() -> HashMap<u32, Process> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, process(pid)?))).collect()
}

/// `None` when the process has ended meanwhile. The fields are counted in proc(5) from 1; the
/// second is the name in parentheses, which may itself contain blanks and parentheses.
fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let time = CpuTime { user: field(14)? + field(16)?, system: field(15)? + field(17)? };
    Some(Process { parent: field(4)? as u32, time })
}
