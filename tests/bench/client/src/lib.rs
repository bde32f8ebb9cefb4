//! What an app pays for a client: two processes, built as apps are (profile `app`), of which one holds a connected client and
//! the other nothing. Either prints its [`Memory`]; the difference is the client, with the code of it that is mapped.

use std::error::Error;
use std::fmt;
use std::io::Write as _;

/// What a process holds, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Its own: heap, stacks, what it wrote to.
    pub anonymous: u64,
    /// Pages of files: code, constants, the C library.
    pub mapped: u64,
}

impl Memory {
    /// Of this process. The system's own sum over all mappings: `/proc/self/status` may be behind by what each processor has
    /// not added yet.
    pub fn of_this_process() -> Result<Self, Box<dyn Error>> {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
        let kib = |name: &str| {
            let value = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            kib.ok_or_else(|| format!("the system does not tell {name}"))
        };
        let (held, anonymous) = (kib("Rss")?, kib("Anonymous")?);
        Ok(Self { anonymous, mapped: held.saturating_sub(anonymous) })
    }

    /// The way back from its text.
    pub fn parse(text: &str) -> Option<Self> {
        let (anonymous, mapped) = text.trim().split_once(' ')?;
        Some(Self { anonymous: anonymous.parse().ok()?, mapped: mapped.parse().ok()? })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.anonymous, self.mapped)
    }
}

/// Prints what this process holds.
pub fn print() -> Result<(), Box<dyn Error>> {
    writeln!(std::io::stdout(), "{}", Memory::of_this_process()?)?;
    Ok(())
}
