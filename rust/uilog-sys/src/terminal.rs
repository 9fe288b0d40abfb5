//! How wide the terminal is. Must not know what is shown on it.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;

/// Columns and lines of a descriptor's terminal; `None` if it is not a
/// terminal, or the size is unknown.
pub fn size(terminal: impl AsFd) -> Option<(usize, usize)> {
    let fd = terminal.as_fd().as_raw_fd();
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the request fills a live local of the type that it is for.
    let told = unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: all zeros are a valid size, whether or not it has been filled.
    let size = unsafe { size.assume_init() };
    let is_known = told == 0 && size.ws_col > 0 && size.ws_row > 0;
    is_known.then(|| (size.ws_col.into(), size.ws_row.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_no_terminal() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(size(&file), None);
    }
}
