//! The fuzz targets without a fuzzer: each property holds for the whole corpus, and for a bounded
//! number of inputs made from it, the same ones each time. How to look for new ones is in
//! fuzz/README.md.
#![cfg(test)]

#[path = "../fuzz/src/lib.rs"]
#[expect(
    unreachable_pub,
    reason = "the module is a crate of its own, whose binaries are libFuzzer's"
)]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use self::targets::TARGETS;

/// Inputs made from the corpus, for each target.
const MADE: usize = 2000;
/// Maximum length of an input that is made, in bytes.
const LONGEST: usize = 16 * 1024;

macro_rules! smoke {
    ($($target:ident: $name:ident,)*) => {
        $(#[test]
        fn $name() {
            smoke_run(stringify!($target));
        })*

        #[test]
        fn every_target_has_its_test_binary_corpus_and_dictionary() {
            let tested = BTreeSet::from([$(stringify!($target)),*]);
            let targets: BTreeSet<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(tested, targets);
            for (folder, ending) in [("fuzz_targets", ".rs"), ("corpus", ""), ("dictionaries", ".dict")] {
                let found: BTreeSet<String> = entries(folder).iter().map(|path| file_name(path)).collect();
                let expected = targets.iter().map(|name| format!("{name}{ending}")).collect();
                assert_eq!(found, expected, "in {folder}");
            }
            let readme = fs::read_to_string(root().join("README.md")).expect("a README");
            let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
            for name in targets {
                assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "no [[bin]] {name}");
                assert!(readme.contains(&format!("| `{name}` | ")), "fuzz/README.md lacks {name}");
            }
        }
    };
}

smoke! {
    answers: hyper_parses_the_same_response_and_no_partial_one,
    config: any_gateway_toml_is_accepted_or_reported_with_places,
    framing: an_accepted_head_or_body_has_one_meaning_in_any_pieces,
    headers: only_names_that_fold_to_an_identity_are_removed,
    host: one_host_is_accepted_and_every_place_names_it,
    login_body: a_login_gives_a_code_within_bounds_or_a_refusal,
    path: a_canonical_path_has_one_spelling_and_no_dots_however_decoded,
    request: forwarded_requests_carry_one_identity_no_skey_and_one_path,
    sealed: only_values_sealed_under_this_key_and_name_open,
    smuggling: hyper_parses_the_same_requests_and_no_additional_one,
    token_body: no_skey_is_left_in_a_body_and_the_rest_keeps_its_meaning,
    token_head: no_skey_is_left_in_a_head_and_the_rest_is_unchanged,
}

#[test]
fn the_corpus_stays_small() {
    let folders = entries("corpus");
    let files: Vec<PathBuf> = folders.iter().flat_map(|folder| files_in(folder)).collect();
    let bytes: u64 = files
        .iter()
        .map(|file| fs::metadata(file).expect("a file").len())
        .sum();
    assert!(
        files.len() < 500,
        "{} files; see `--minimise` in fuzz/README.md",
        files.len()
    );
    assert!(
        bytes < 500 * 1024,
        "{bytes} bytes; see `--minimise` in fuzz/README.md"
    );
}

fn smoke_run(name: &str) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, check) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    let files = files_in(&root().join("corpus").join(name));
    let corpus: Vec<Vec<u8>> = files
        .iter()
        .map(|file| fs::read(file).expect("a file"))
        .collect();
    assert!(corpus.len() >= 5, "only {} inputs", corpus.len());
    for (file, input) in files.iter().zip(&corpus) {
        let held = catch_unwind(|| check(input));
        assert!(held.is_ok(), "{}", file.display());
    }
    let mut maker = Maker::new(name, &corpus);
    for _ in 0..MADE {
        let input = maker.make();
        let held = catch_unwind(|| check(&input));
        assert!(held.is_ok(), "{name}: b\"{}\"", input.escape_ascii());
    }
}

/// Makes inputs out of others, always the same.
struct Maker<'a> {
    corpus: &'a [Vec<u8>],
    words: Vec<Vec<u8>>,
    state: u64,
}

impl<'a> Maker<'a> {
    fn new(name: &str, corpus: &'a [Vec<u8>]) -> Self {
        let dictionary = root().join("dictionaries").join(format!("{name}.dict"));
        let text = fs::read_to_string(dictionary).expect("a dictionary");
        let words = text.lines().map(word).collect();
        Self {
            corpus,
            words,
            state: 0x9e37_79b9_7f4a_7c15,
        }
    }

    fn make(&mut self) -> Vec<u8> {
        let mut input = self.pick_input();
        for _ in 0..=self.below(4) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let from = self.below(input.len() + 1);
        let to = (from + self.below(9)).min(input.len());
        match self.below(7) {
            0 => drop(input.drain(from..to)),
            1 => {
                let piece = input[from..to].to_vec();
                input.splice(from..from, piece);
            }
            2 => {
                let byte = self.byte();
                input.insert(from, byte);
            }
            3 => {
                let byte = self.byte();
                if let Some(place) = input.get_mut(from) {
                    *place = byte;
                }
            }
            4 => {
                let other = self.pick_input();
                let end = self.below(other.len() + 1);
                input.truncate(from);
                input.extend_from_slice(&other[end..]);
            }
            _ => {
                let at = self.below(self.words.len());
                let word = self.words[at].clone();
                input.splice(from..to, word);
            }
        }
    }

    fn pick_input(&mut self) -> Vec<u8> {
        let at = self.below(self.corpus.len());
        self.corpus[at].clone()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

/// A line of a dictionary: `"…"`, with `\\`, `\"` and `\xNN`.
fn word(line: &str) -> Vec<u8> {
    let inner = line
        .strip_prefix('"')
        .and_then(|line| line.strip_suffix('"'));
    let inner = inner.unwrap_or_else(|| panic!("not a word of a dictionary: {line}"));
    let mut word = Vec::new();
    let mut rest = inner.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'\\', [b'x', digits @ ..]) => {
                let digits = std::str::from_utf8(&digits[..2]).expect("two digits");
                word.push(u8::from_str_radix(digits, 16).expect("two digits"));
                rest = &after[3..];
            }
            (b'\\', [mark, behind @ ..]) => {
                word.push(*mark);
                rest = behind;
            }
            _ => word.push(*first),
        }
    }
    word
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn entries(folder: &str) -> Vec<PathBuf> {
    files_in(&root().join(folder))
}

/// In the order of their names, so that each run makes the same.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
