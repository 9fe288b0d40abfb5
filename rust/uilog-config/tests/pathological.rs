//! Unusual files: megabytes of one construct.
//!
//! No test here measures time. Code that takes quadratic time does not finish
//! with such a file, and the result is compared with the file to the last item.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use tempfile::TempDir;
use uilog_config::Environment;
use uilog_config::Error;
use uilog_config::Loaded;
use uilog_config::MAX_BYTES;
use uilog_config::MAX_INCLUDES;
use uilog_config::Request;

const MANY: usize = 500_000;

/// Reads a file `hgrc` in a directory that holds others as well.
fn load_in(dir: &TempDir, text: &[u8]) -> Result<Loaded, Error> {
    let path = dir.path().join("hgrc");
    fs::write(&path, text).expect("a file");
    let path = path.as_os_str().as_bytes().to_vec();
    let variables = HashMap::from([(b"HGRCPATH".to_vec(), path)]);
    let environment = Environment::new(variables, dir.path().to_owned());
    uilog_config::load(&Request::default(), &environment)
}

fn load(text: &[u8]) -> Result<Loaded, Error> {
    load_in(&TempDir::new().expect("a directory"), text)
}

fn loaded(text: &[u8]) -> Loaded {
    load(text).expect("a file that can be read")
}

fn count(loaded: &Loaded) -> usize {
    let config = &loaded.trusted;
    config
        .sections()
        .map(|section| config.items(section).count())
        .sum()
}

#[test]
fn a_value_of_many_lines() {
    let text = [b"[a]\nb = 1\n", &b" x\n# between\n".repeat(MANY)[..]];
    let loaded = loaded(&text.concat());
    let value = loaded.trusted.value(b"a", b"b").expect("an item");
    assert_eq!(value.len(), 1 + 2 * MANY);
    let entry = loaded.trusted.get(b"a", b"b").expect("an item");
    let line = format!(":{}", 2 + 2 * MANY - 1);
    assert!(entry.source.to_bytes().ends_with(line.as_bytes()));
}

#[test]
fn one_item_again_and_again() {
    let loaded = loaded(&[b"[a]\n", &b"b = x\n".repeat(MANY)[..]].concat());
    assert_eq!(count(&loaded), 1);
    let entry = loaded.trusted.get(b"a", b"b").expect("an item");
    let line = format!(":{}", 1 + MANY);
    assert!(entry.source.to_bytes().ends_with(line.as_bytes()));
}

#[test]
fn many_sections_and_items() {
    let sections = MANY / 10;
    let text: String = (0..sections)
        .map(|at| format!("[s{at}]\na = {at}\n"))
        .collect();
    assert_eq!(count(&loaded(text.as_bytes())), sections);
    let items: String = (0..sections).map(|at| format!("a{at} = \n")).collect();
    let loaded = loaded(format!("[s]\n{items}").as_bytes());
    assert_eq!(count(&loaded), sections);
    let last = loaded.trusted.items(b"s").last().expect("an item");
    assert_eq!(last.0, format!("a{}", sections - 1).as_bytes());
}

#[test]
fn unset_again_and_again() {
    let text = b"b = 1\n%unset b\n%unset c\n".repeat(MANY / 2);
    assert_eq!(count(&loaded(&[b"[a]\n", &text[..]].concat())), 0);
}

#[test]
fn lines_of_megabytes() {
    let long = |byte: u8| vec![byte; 10 * MANY];
    let item = loaded(&[b"[a]\nb = ", &long(b'x')[..]].concat());
    let value = item.trusted.value(b"a", b"b").expect("an item");
    assert_eq!(value.len(), 10 * MANY);
    for byte in [b' ', b'\t', b'\r', b'\n', b'#', b'\x0b'] {
        assert_eq!(count(&loaded(&long(byte))), 0);
    }
    for byte in [b'[', b']', b'%', b'=', b'x', b'\0', b'\xff'] {
        let error = load(&long(byte)).expect_err("no statement");
        assert_eq!(error.message().len(), 10 * MANY);
    }
    // Behind an item each blank line could be continued.
    let blank = [b"[a]\nb = 1\n", &long(b'\n')[..], b"c = 2"].concat();
    assert_eq!(count(&loaded(&blank)), 2);
}

#[test]
fn a_list_that_opens_quotes() {
    for part in [&b"\"a "[..], b"\\\"", b"\"", b"\"\" ", b"a,", b"\" \\"] {
        let users = part.repeat(MANY / 10);
        let text = [b"[trusted]\nusers = ", &users[..]].concat();
        assert_eq!(count(&loaded(&text)), 1);
    }
}

#[test]
fn many_paths_to_be_corrected() {
    let paths: String =
        (0..MANY / 10).map(|at| format!("p{at} = %%\n")).collect();
    let loaded = loaded(format!("[paths]\n{paths}").as_bytes());
    assert_eq!(count(&loaded), MANY / 10);
    assert_eq!(loaded.warnings.len(), 2 * count(&loaded));
}

#[test]
fn includes_are_counted() {
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("empty"), "").expect("a file");
    let text = b"%include empty\n".repeat(MAX_INCLUDES);
    assert_eq!(count(&load_in(&dir, &text).expect("enough")), 0);
    let text = [&text[..], b"%include empty\n"].concat();
    let error = load_in(&dir, &text).expect_err("too many");
    assert!(error.message().ends_with(b"(too many files)"));
}

#[test]
fn includes_that_double_come_to_an_end() {
    let dir = TempDir::new().expect("a directory");
    for at in 0..60 {
        let text = format!("%include {0}\n%include {0}\n", at + 1);
        fs::write(dir.path().join(at.to_string()), text).expect("a file");
    }
    fs::write(dir.path().join("60"), "").expect("a file");
    let error = load_in(&dir, b"%include 0").expect_err("too many");
    assert!(error.message().ends_with(b"(too many files)"));
}

#[test]
fn a_file_that_includes_itself_is_named() {
    let dir = TempDir::new().expect("a directory");
    let text = b"[a]\n%include ./hgrc\n";
    let error = load_in(&dir, text).expect_err("a cycle");
    let location = error.location().expect("a line");
    assert!(location.ends_with(b"/hgrc:2"));
    assert!(error.message().starts_with(b"cannot include ./hgrc ("));
}

#[test]
fn a_named_pipe_is_not_waited_for() {
    let dir = TempDir::new().expect("a directory");
    let mode = nix::sys::stat::Mode::S_IRWXU;
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, mode).expect("a pipe");
    let error = load_in(&dir, b"%include pipe").expect_err("no file");
    assert!(error.message().starts_with(b"cannot include pipe ("));
    let device = load_in(&dir, b"%include /dev/zero").expect_err("no file");
    assert!(device.message().starts_with(b"cannot include /dev/zero ("));
    assert!(load_in(&dir, b"%include /dev/null").is_ok());
}

#[test]
fn what_a_repository_says_of_itself_is_read_within_bounds() {
    let dir = TempDir::new().expect("a directory");
    let hg_dir = dir.path().join(".hg");
    fs::create_dir(&hg_dir).expect("a directory");
    let load = || {
        let environment =
            Environment::new(HashMap::new(), dir.path().to_owned());
        let error = uilog_config::load(&Request::default(), &environment);
        error.expect_err("hostile").to_string()
    };
    for (file, requires) in [("requires", None), ("sharedpath", Some("shared"))]
    {
        if let Some(requires) = requires {
            fs::write(hg_dir.join("requires"), requires).expect("a file");
        }
        let path = hg_dir.join(file);
        let is = |reason: &str| {
            let place = path.display();
            assert_eq!(load(), format!("abort: {reason}: '{place}'"));
            fs::remove_file(&path).expect("it was there");
        };
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(&path, mode).expect("a FIFO");
        is("it is a named pipe, not a regular file");
        symlink("/dev/zero", &path).expect("a link");
        is("it is a device, not a regular file");
        let file = fs::File::create(&path).expect("a file");
        file.set_len(1 << 40).expect("a hole");
        is("it is longer than 65536 bytes");
    }
}

#[test]
fn all_files_together_have_a_limit() {
    let dir = TempDir::new().expect("a directory");
    let item = b"[a]\nb = the end";
    let padded = |bytes: usize| {
        [&b"#".repeat(bytes - 1 - item.len())[..], b"\n", item].concat()
    };
    let most = usize::try_from(MAX_BYTES).expect("a size");
    let loaded = load_in(&dir, &padded(most)).expect("just short enough");
    assert_eq!(loaded.trusted.value(b"a", b"b"), Some(&b"the end"[..]));
    let error = load_in(&dir, &padded(most + 1)).expect_err("too long");
    assert_eq!(error.message(), b"too large");

    fs::write(dir.path().join("half"), padded(most / 2)).expect("a file");
    let twice = b"%include half\n%include half\n";
    let error = load_in(&dir, twice).expect_err("too long together");
    assert_eq!(error.message(), b"too large");
}
