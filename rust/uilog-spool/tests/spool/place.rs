//! Which directories are refused, and which are created for their owner only.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;

use uilog_spool::Error;
use uilog_spool::Limits;
use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::Writer;
use uilog_testing::test_process;

/// Nobody that there is.
const STRANGER: u32 = 54_321;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn try_open(dir: &Path, home: Option<&Path>) -> Result<Spool, Error> {
    let home = home.map(PathBuf::from);
    let options = Options {
        home,
        ..Options::default()
    };
    Spool::open(dir, options)
}

fn refused(dir: &Path) -> String {
    let error = try_open(dir, None).unwrap_err();
    assert!(error.is_unsafe(), "{error}");
    error.to_string()
}

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("LEFT OUT: other owners because we are not root");
    }
    is_root
}

#[test]
fn everything_is_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("state/uilog/spool");
    let spool = try_open(&dir, None).unwrap();
    for dir in dir.ancestors().take(3) {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
    let mut writer = Writer::new(&spool);
    let id = RecordId::new(b"0123456789abcdef").unwrap();
    writer.append(&id, b"payload").unwrap();
    writer.append(&id, b"payload").unwrap();
    let mut sender = Sender::try_lock(&spool).unwrap().unwrap();
    let batch = sender.next_batch(1, 100).unwrap();
    sender.reject(batch, &[0], b"no").unwrap();
    let names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for path in names {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn where_others_can_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let above = directory.path().join("above");
    let dir = above.join("spool");
    try_open(&dir, None).unwrap();
    for bad in [0o777, 0o702, 0o720, 0o1777] {
        set_mode(&dir, bad);
        let text = refused(&dir);
        assert_eq!(
            text,
            format!(
                "cannot use {}: other users can write there",
                dir.display()
            )
        );
    }
    set_mode(&dir, 0o755);
    try_open(&dir, None).unwrap();

    set_mode(&above, 0o777);
    refused(&dir);
    // What is above the home is not looked at; the home itself is.
    try_open(&dir, Some(&dir)).unwrap();
    let error = try_open(&dir, Some(&above)).unwrap_err();
    assert!(error.is_unsafe());
    // Nobody else can rename what is in there.
    set_mode(&above, 0o1777);
    try_open(&dir, None).unwrap();
}

#[test]
fn links_are_followed_and_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    try_open(&path("real/spool"), None).unwrap();
    symlink("real/spool", path("link")).unwrap();
    try_open(&path("link"), None).unwrap();
    symlink("../real", path("real/above")).unwrap();
    try_open(&path("real/above/spool"), None).unwrap();

    fs::create_dir(path("open")).unwrap();
    set_mode(&path("open"), 0o777);
    symlink(path("open"), path("bad")).unwrap();
    refused(&path("bad"));
    // A link that others can replace, although it leads to a safe place.
    symlink(path("real/spool"), path("open/link")).unwrap();
    refused(&path("open/link"));
    symlink("loop", path("loop")).unwrap();
    assert!(refused(&path("loop")).contains("too many links"));
}

#[test]
fn what_is_no_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, b"").unwrap();
    assert!(refused(&path).contains("not a directory"));
    assert!(refused(&path.join("spool")).contains("not a directory"));
    assert!(refused(Path::new("spool")).contains("not absolute"));
}

#[test]
fn what_belongs_to_others_is_refused() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let above = directory.path().join("above");
    let dir = above.join("spool");
    try_open(&dir, None).unwrap();
    chown(&dir, Some(STRANGER), None).unwrap();
    assert!(refused(&dir).contains("belongs to another user"));
    chown(&dir, Some(0), None).unwrap();
    chown(&above, Some(STRANGER), None).unwrap();
    assert!(refused(&dir).contains("belongs to another user"));
    chown(&above, Some(0), Some(STRANGER)).unwrap();
    set_mode(&above, 0o770);
    assert!(refused(&dir).contains("its group can write"));
    chown(&above, Some(0), Some(0)).unwrap();
    try_open(&dir, None).unwrap();
}

/// Appends a record, and sends or rejects all there are; why that failed.
fn use_spool(spool: &Spool) -> Result<(), Error> {
    let mut writer = Writer::new(spool);
    let id = RecordId::new(b"0123456789abcdef").unwrap();
    writer.append(&id, b"payload")?;
    writer.append(&id, b"payload")?;
    let Some(mut sender) = Sender::try_lock(spool)? else {
        return Ok(());
    };
    let batch = sender.next_batch(1, 100)?;
    sender.reject(batch, &[0], b"no")?;
    let batch = sender.next_batch(9, 1000)?;
    sender.accept(batch)?;
    drop(sender);
    spool.stats().map(drop)
}

/// Appends more than there is room for.
fn fill(spool: &Spool) -> Result<(), Error> {
    let mut writer = Writer::new(spool);
    let id = RecordId::new(b"0123456789abcdef").unwrap();
    for _ in 0..10 {
        writer.append(&id, &[b'x'; 3000])?;
    }
    Ok(())
}

#[test]
fn modes_are_ours_whatever_the_umask() {
    const UMASK: &str = "SPOOL_UMASK";
    const DIRECTORY: &str = "SPOOL_UMASK_DIRECTORY";
    if let Ok(mask) = std::env::var(UMASK) {
        let mask = u32::from_str_radix(&mask, 8).unwrap();
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_retain(mask));
        let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
        let spool = try_open(&directory.join("a/b"), None).unwrap();
        // Its files stay while there is something to send.
        let mut writer = Writer::new(&spool);
        let id = RecordId::new(b"0123456789abcdef").unwrap();
        writer.append(&id, b"payload").unwrap();
        use_spool(&spool).unwrap();
        writer.append(&id, b"payload").unwrap();
        return;
    }
    for mask in ["0", "777"] {
        let directory = tempfile::tempdir().unwrap();
        let mut command =
            test_process("place::modes_are_ours_whatever_the_umask");
        command.env(UMASK, mask).env(DIRECTORY, directory.path());
        // Root may do anything, whatever the modes.
        if is_root() {
            chown(directory.path(), Some(STRANGER), Some(STRANGER)).unwrap();
            command.uid(STRANGER).gid(STRANGER);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{mask}: {output:?}");
        let dir = directory.path().join("a/b");
        assert_eq!(
            (mode(&dir), mode(&directory.path().join("a"))),
            (0o700, 0o700)
        );
        let names: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(names.len() > 3, "{names:?}");
        for path in names {
            assert_eq!(mode(&path), 0o600, "{mask}: {}", path.display());
        }
    }
}

#[test]
fn what_has_the_name_of_a_file_of_ours_stays_as_it_is() {
    let link = |path: &Path, victim: &Path| symlink(victim, path).unwrap();
    let fifo = |path: &Path, _: &Path| {
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(path, mode).unwrap();
    };
    let plants: [fn(&Path, &Path); 2] = [link, fifo];
    for name in [
        "sender.counts",
        "sender.counts.new",
        "evicted.counts",
        "evicted.counts.new",
        "forgotten.counts",
        "forgotten.counts.new",
        "sender.progress",
        "sender.lock",
        "evict.lock",
    ] {
        for (plant, victim_exists) in plants.iter().zip([true, false]) {
            let directory = tempfile::tempdir().unwrap();
            let dir = directory.path().join("spool");
            let victim = directory.path().join("victim");
            if victim_exists {
                fs::write(&victim, "text").unwrap();
            }
            let options = Options {
                limits: Limits {
                    max_bytes: 10_000,
                    ..Limits::default()
                },
                ..Options::default()
            };
            let spool = Spool::open(&dir, options).unwrap();
            let path = dir.join(name);
            plant(&path, &victim);
            let before = fs::symlink_metadata(&path).unwrap();
            // Nothing waits. Whoever cannot go on says so.
            let results = [
                use_spool(&spool),
                fill(&spool),
                Sender::try_lock(&spool).and_then(|sender| {
                    sender.map_or(Ok(0), |mut sender| sender.forget(true))?;
                    Ok(())
                }),
            ];
            let is_refused = results.iter().any(Result::is_err);
            assert!(is_refused, "{name}: {results:?}");
            let after = fs::symlink_metadata(&path).unwrap();
            assert_eq!(after.ino(), before.ino(), "{name}");
            assert_eq!(after.file_type(), before.file_type(), "{name}");
            let text = fs::read_to_string(&victim).ok();
            let expected = victim_exists.then(|| "text".to_owned());
            assert_eq!(text, expected, "{name}");
        }
    }
}
