//! The beginning of a segment: which process created it, and when.

use crate::files::Now;

/// Who began a segment, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) now: Now,
    pub(crate) pid: u32,
}

impl Head {
    pub(crate) const BYTES: usize = 36;

    pub(crate) fn to_payload(self) -> [u8; Self::BYTES] {
        let mut payload = [0; Self::BYTES];
        payload[..16].copy_from_slice(&self.now.boot);
        payload[16..24].copy_from_slice(&self.now.wall_ms.to_le_bytes());
        payload[24..32].copy_from_slice(&self.now.boot_ms.to_le_bytes());
        payload[32..].copy_from_slice(&self.pid.to_le_bytes());
        payload
    }

    pub(crate) fn from_payload(payload: &[u8]) -> Option<Self> {
        let payload: &[u8; Self::BYTES] = payload.try_into().ok()?;
        let (boot, rest) = payload.split_first_chunk()?;
        let (wall_ms, rest) = rest.split_first_chunk()?;
        let (boot_ms, rest) = rest.split_first_chunk()?;
        let (pid, _) = rest.split_first_chunk()?;
        let now = Now {
            wall_ms: u64::from_le_bytes(*wall_ms),
            boot_ms: u64::from_le_bytes(*boot_ms),
            boot: *boot,
        };
        let pid = u32::from_le_bytes(*pid);
        Some(Self { now, pid })
    }

    /// Whether the clock that does not jump is the same as `now`'s.
    pub(crate) fn is_of_this_boot(&self, now: &Now) -> bool {
        self.now.boot == now.boot && now.boot != [0; 16]
    }

    /// Milliseconds since then. Only where the system has been started again
    /// meanwhile, a clock that has been set forward makes it too long; one
    /// that has been set back never makes it less than nothing.
    pub(crate) fn age_ms(&self, now: &Now) -> u64 {
        if self.is_of_this_boot(now) {
            now.boot_ms.saturating_sub(self.now.boot_ms)
        } else {
            now.wall_ms.saturating_sub(self.now.wall_ms)
        }
    }
}
