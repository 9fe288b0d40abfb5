//! Pages whose holders were killed: who claims them, once, and what they tell.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;

use proptest::prelude::*;
use uilog_event::event::SessionId;

use super::*;
use crate::page::CreatedPage;
use crate::queue::Writer;

/// An environment of its own, for each a key.
fn environment() -> (tempfile::TempDir, Choice, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    let block = format!("HOME={path}\0XDG_RUNTIME_DIR={path}\0");
    let block = block.into_bytes();
    (dir, Choice::of(&block), block)
}

/// A queue with so many jobs, its reader's page, and where that is.
fn queue_of(block: &[u8], jobs: u64) -> (Writer, File, PathBuf) {
    let program = Path::new("/bin/uilog");
    let made = page::make(block, SessionId(7), program, 1 << 20).unwrap();
    let CreatedPage {
        page,
        readers,
        path,
    } = made;
    let frames = queue::frames_file().unwrap();
    let mut writer = Writer::open_apart(page, frames, 1 << 20);
    writer.append(b"whatever a frame is", jobs).unwrap();
    (writer, readers, path)
}

/// Those who hold a page are gone, as if they had been killed. A child that
/// another test is just starting has copies of their descriptors, until it
/// becomes its program.
fn kill(path: &Path, holders: impl Sized) {
    drop(holders);
    let page = File::options().read(true).write(true).open(path).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !page::holders(&page).unwrap().is_dead() {
        assert!(Instant::now() < deadline, "somebody holds it");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What is moved to a journal that takes it.
fn claimed(choice: &Choice) -> Vec<Failure> {
    let mut moved = Vec::new();
    claim_all(choice, |failure| {
        moved.push(failure.clone());
        Ok(())
    });
    moved
}

#[test]
fn what_is_left_is_moved_once_when_nobody_holds_the_page() {
    let (_dir, choice, block) = environment();
    let (writer, readers, path) = queue_of(&block, 3);
    for holder in [Some(readers), None] {
        // Either of the two is enough.
        assert_eq!(failures(&choice), []);
        assert_eq!(claimed(&choice), []);
        drop(holder);
    }
    assert!(path.exists());
    kill(&path, writer);
    let shown = failures(&choice);
    assert_eq!((shown.len(), shown[0].lost), (1, 3));
    claim_all(&choice, |_| Err(io::ErrorKind::StorageFull.into()));
    assert_eq!(failures(&choice)[0].lost, 3, "it is still there");
    let moved = claimed(&choice);
    assert_eq!((moved.len(), moved[0].lost), (1, 3));
    assert_eq!(moved[0].page, shown[0].page);
    assert_eq!(moved[0].session, format!("{:032x}", 7));
    assert_eq!(claimed(&choice), []);
    assert!(!path.exists());
}

#[test]
fn a_page_of_which_nothing_is_left_goes_without_a_word() {
    let (_dir, choice, block) = environment();
    let (writer, readers, path) = queue_of(&block, 0);
    kill(&path, (writer, readers));
    assert_eq!(failures(&choice), []);
    assert_eq!(claimed(&choice), []);
    assert!(!path.exists());
}

#[test]
fn what_another_has_moved_meanwhile_is_not_moved_again() {
    let (_dir, choice, block) = environment();
    let (writer, readers, path) = queue_of(&block, 1);
    kill(&path, (writer, readers));
    let [first, second] = [(); 2].map(|()| dead(&choice, 9, 0).remove(0));
    // While one is at it, and when it has done.
    let append = |_: &Failure| -> io::Result<()> {
        assert_eq!(claimed(&choice), []);
        Ok(())
    };
    assert!(first.claim(append).unwrap());
    assert!(!second.claim(|_| panic!("again")).unwrap());
    // Nor is what has got its name since.
    let (writer, readers, other) = queue_of(&block, 1);
    kill(&other, (writer, readers));
    let found = dead(&choice, 9, 0).remove(0);
    fs::rename(&other, &path).unwrap();
    fs::write(&other, b"somebody's").unwrap();
    assert!(!found.claim(|_| panic!("it is another")).unwrap());
    assert_eq!(fs::read(&other).unwrap(), b"somebody's");
}

#[test]
fn what_another_environment_has_left_some_find_and_all_read() {
    let home = tempfile::tempdir().unwrap();
    let environment = |runtime: &str| {
        let path = home.path().display();
        let runtime = home.path().join(runtime);
        fs::create_dir_all(&runtime).unwrap();
        let runtime = runtime.display();
        format!("HOME={path}\0XDG_RUNTIME_DIR={runtime}\0").into_bytes()
    };
    // One that has no such directory leaves its page in another place.
    let block = format!("HOME={}\0", home.path().display());
    let (writer, readers, other) = queue_of(block.as_bytes(), 1);
    kill(&other, (writer, readers));
    let block = environment("run");
    let (writer, readers, own) = queue_of(&block, 2);
    kill(&own, (writer, readers));
    let choice = Choice::of(&block);
    let found = |process: u32| {
        let dead = dead(&choice, 9, process);
        dead.iter().map(|it| it.name.clone()).collect::<Vec<_>>()
    };
    let name = |path: &Path| path.file_name().unwrap().to_owned();
    let missed = (1..EVERYWHERE_ONE_OF).filter(|it| found(*it).len() != 1);
    assert_eq!(missed.count(), 0);
    assert_eq!(found(1), [name(&own)]);
    assert_eq!(failures(&choice).iter().map(|it| it.lost).sum::<u64>(), 3);
    // A directory for everybody may have become so large that not each of
    // them looks through it.
    let finds = |it: &u32| found(*it) == [name(&own), name(&other)];
    let all = (0..u32::MAX).step_by(EVERYWHERE_ONE_OF as usize);
    assert!(all.take(1 << 12).any(|it| finds(&it)));
    assert_eq!(claimed(&choice).len(), 2);
}

#[test]
fn what_was_never_finished_goes_without_a_word() {
    let (_dir, choice, block) = environment();
    let (writer, readers, path) = queue_of(&block, 1);
    let name = |text: &str| {
        path.with_file_name(format!("{}{text}", living_file::UNFINISHED))
    };
    let [old, held, young] = ["old", "held", "young"].map(name);
    for path in [&old, &held, &young] {
        fs::write(path, b"").unwrap();
    }
    let long_ago = SystemTime::now() - 2 * LONG_AGO;
    let open = |path: &Path| {
        File::options().read(true).write(true).open(path).unwrap()
    };
    open(&old).set_modified(long_ago).unwrap();
    let holder = open(&held);
    holder.set_modified(long_ago).unwrap();
    assert!(living_file::hold(&holder, Holder::Maker).unwrap());
    assert_eq!(failures(&choice), []);
    assert_eq!(claimed(&choice), []);
    assert!(!old.exists() && held.exists() && young.exists());
    drop((writer, readers));
}

#[test]
fn each_loss_is_told_apart() {
    let (_dir, choice, block) = environment();
    let (mut writer, readers, path) = queue_of(&block, 20);
    writer.set_unreported(1).unwrap();
    let words = |at: u64, words: &[u64]| {
        for (word, at) in words.iter().zip((at..).step_by(8)) {
            readers.write_all_at(&word.to_le_bytes(), at).unwrap();
        }
    };
    // Taken 15, started 6, succeeded 3, failed 1, not started 1.
    words(512 + 8, &[15, 6, 3, 1, 1]);
    // One reader has begun; 8 scripts taken; 4 records done, 2 lost, 1 in
    // hand; 2 losses are known.
    words(512 + 8 * 8, &[1, 8]);
    words(512 + 11 * 8, &[4, 2, 1]);
    words(960, &[2]);
    kill(&path, (writer, readers));
    let failure = claimed(&choice).remove(0);
    let what = "5 not begun, 3 started, and perhaps completed, \
                3 perhaps not delivered to all sinks, \
                3 lost earlier, and not in the journal yet";
    assert!(failure.detail.ends_with(what), "{failure:?}");
    // One not begun is none that is not known of: it was told.
    assert_eq!(failure.lost, 14);
}

#[test]
fn the_cause_of_a_loss_is_told() {
    let (_dir, choice, block) = environment();
    let cause_of = |jobs: u64, unreported: u64, refused_by: u64| {
        let (mut writer, readers, path) = queue_of(&block, jobs);
        writer.set_unreported(unreported).unwrap();
        let word = refused_by.to_le_bytes();
        readers.write_all_at(&word, 512 + 7 * 8).unwrap();
        kill(&path, (writer, readers));
        claimed(&choice).remove(0).detail
    };
    for ((jobs, unreported, refused_by), cause) in [
        (
            (1, 0, 0),
            "/bin/uilog dispatch has ended before it has done",
        ),
        ((0, 1, 0), "hg and its dispatcher were killed"),
        ((1, 0, 3), "/bin/uilog speaks protocol 3, this hg "),
    ] {
        let detail = cause_of(jobs, unreported, refused_by);
        assert!(detail.starts_with(cause), "{detail}");
    }
}

#[test]
fn what_is_no_page_is_neither_followed_nor_waited_for() {
    let (dir, choice, block) = environment();
    let (writer, readers, path) = queue_of(&block, 1);
    let own = path.parent().unwrap();
    let name = |text: &str| {
        own.join(format!("{}{}-{text}", page::PREFIX, choice.key()))
    };
    let victim = dir.path().join("victim");
    fs::write(&victim, fs::read(&path).unwrap()).unwrap();
    kill(&path, (writer, readers));
    std::os::unix::fs::symlink(&victim, name("link")).unwrap();
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(&name("fifo"), mode).unwrap();
    fs::create_dir(name("directory")).unwrap();
    fs::write(name("empty"), b"").unwrap();
    fs::write(name("text"), b"x".repeat(100)).unwrap();
    let moved = claimed(&choice);
    let lost: Vec<_> = moved.iter().map(|it| it.lost).collect();
    assert_eq!(lost.iter().sum::<u64>(), 1);
    let is_damaged = |it: &&Failure| it.detail.contains("damaged");
    assert_eq!(moved.iter().filter(is_damaged).count(), 2);
    for kept in ["link", "fifo", "directory"] {
        assert!(fs::symlink_metadata(name(kept)).is_ok(), "{kept}");
    }
    assert_eq!(fs::read(&victim).unwrap().len(), 4096);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_page_says_is_told_within_bounds(
        words in proptest::collection::vec(
            (0_u64..520, prop_oneof![0_u64..9, any::<u64>()]),
            1..9,
        ),
        bytes in 0_u64..5000,
    ) {
        let (_dir, choice, block) = environment();
        let (writer, readers, path) = queue_of(&block, 3);
        for (at, word) in words {
            let word = word.to_le_bytes();
            readers.write_all_at(&word, at * 8).unwrap();
        }
        readers.set_len(bytes).unwrap();
        failures(&choice);
        kill(&path, (writer, readers));
        let moved = claimed(&choice);
        prop_assert!(moved.len() <= 1);
        for failure in moved {
            prop_assert!(failure.lost <= 1 << 50);
            prop_assert!(failure.detail.len() < 8192);
        }
        prop_assert!(!path.exists());
    }
}
