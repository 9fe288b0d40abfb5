//! File systems that a test mounts.

use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// Whether something can be mounted by this test, which runs a second time for
/// that, in a mount namespace of its own.
pub(crate) fn may_mount(test: &str) -> bool {
    const INSIDE: &str = "UILOG_TEST_MOUNTS";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .args([
            "sh",
            "-c",
            "mount -t tmpfs t /proc/tty || exit 77; exec \"$@\"",
        ])
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output();
    uilog_testing::judge_inside(test, output);
    false
}

/// A file system of so many bytes, as long as this lives.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn new(path: &Path, size: &str) -> Self {
        let options = format!("size={size},mode=0700");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(path)
            .status();
        assert!(status.unwrap().success());
        Self(path.to_owned())
    }

    /// Fills it to the brim.
    pub(crate) fn fill(&self) {
        let file = File::create(self.0.join("filler")).unwrap();
        let mut at = 0;
        while let Ok(count) = file.write_at(&[1; 4096], at) {
            at += count as u64;
        }
        assert!(at > 0);
    }

    pub(crate) fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
