//! Sealed values: a value opens under its own key and name alone; a changed, cut, prolonged, copied
//! or forged one does not. Input: `raw` and a value as it may lie in the store, or `seal` and a
//! plaintext; then a place to change.

use std::sync::LazyLock;

use skeygate::config::{App, Config};
use skeygate::seal::{OpenError, Sealer};
use skeygate::secret::Secret;
use skeygate::session::record;

use super::text;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const APPID: &str = "wx0123456789abcdef";
const NAME: &str = "skeygate:s:ccSA35PWri8e-tFEfGbJUl4xYhjPUfyNntgy8trxi3M";
/// Version, key id and nonce before the text, tag behind it.
const HEAD: usize = 17;
const TAG: usize = 16;

static SEALER: LazyLock<Sealer> = LazyLock::new(|| Sealer::new(&[], &apps(APPID)));
/// The same secret, but another app's.
static OTHER_APP: LazyLock<Sealer> =
    LazyLock::new(|| Sealer::new(&[], &apps("wxfedcba9876543210")));
static OTHER_SECRET: LazyLock<Sealer> =
    LazyLock::new(|| Sealer::new(&[Secret::new("another secret of at least 32 letters")], &[]));

/// The app of a file that has one.
fn apps(appid: &str) -> Vec<App> {
    let file = format!(
        "apps = [{{ appid = \"{appid}\", secret = \"{SECRET}\" }}]\nroutes = [{{ path = \"/*\", respond = {{}} }}]"
    );
    let loaded = Config::parse("fuzz", &file, &|_| None);
    loaded.unwrap_or_else(|error| panic!("{error}")).config.apps
}

/// See the module.
pub fn check(data: &[u8]) {
    let (first, rest) = text::first_line(data);
    let (place, content) = text::first_line(rest);
    let place = place.iter().fold(0_usize, |sum, byte| {
        sum.wrapping_mul(256).wrapping_add(usize::from(*byte))
    });
    if first == b"raw" {
        made_up(content);
    } else {
        sealed(content, place, first);
    }
    written(content);
}

/// Nothing opens that was not sealed; not even behind a head that names our version and key.
fn made_up(value: &[u8]) {
    let mut bare = value.to_vec();
    assert!(SEALER.open(NAME, &mut bare).is_err());
    let mut dressed = seal(b"");
    dressed.truncate(5);
    dressed.extend_from_slice(value);
    let opened = SEALER.open(NAME, &mut dressed);
    let long_enough = value.len() >= HEAD - 5;
    let expected = if long_enough {
        OpenError::Forged
    } else {
        OpenError::Malformed
    };
    assert_eq!(opened, Err(expected));
}

fn sealed(plain: &[u8], place: usize, mark: &[u8]) {
    let whole = seal(plain);
    assert_eq!(whole.len(), HEAD + plain.len() + TAG);
    let shows = plain.len() >= 8 && whole.windows(plain.len()).any(|window| window == plain);
    assert!(!shows, "the plaintext shows");
    let mut value = whole.clone();
    assert_eq!(SEALER.open(NAME, &mut value), Ok(plain));
    assert_eq!(value[..HEAD], whole[..HEAD], "the head was changed");

    let mut flipped = whole.clone();
    let at = place % flipped.len();
    flipped[at] ^= 1 << (place / flipped.len() % 8);
    assert!(SEALER.open(NAME, &mut flipped).is_err(), "changed at {at}");
    let mut cut = whole[..at].to_vec();
    assert!(SEALER.open(NAME, &mut cut).is_err(), "cut to {at}");
    let mut behind = [whole.as_slice(), &[0]].concat();
    assert!(
        SEALER.open(NAME, &mut behind).is_err(),
        "with a byte behind"
    );
    let mut before = [&[0], whole.as_slice()].concat();
    assert!(
        SEALER.open(NAME, &mut before).is_err(),
        "with a byte before"
    );

    let mut copied = whole.clone();
    let other = format!("{NAME}{}", place % 7);
    assert_eq!(SEALER.open(&other, &mut copied), Err(OpenError::Forged));
    for sealer in [&*OTHER_APP, &*OTHER_SECRET] {
        let mut foreign = whole.clone();
        assert_eq!(sealer.open(NAME, &mut foreign), Err(OpenError::UnknownKey));
        assert!(!format!("{sealer:?}").contains(&SECRET[..8]));
    }

    let marked = SEALER.seal(APPID, NAME, mark, plain);
    let mut marked = marked.unwrap_or_default();
    let (front, value) = marked.split_at_mut(mark.len());
    assert_eq!(front, mark);
    assert_eq!(SEALER.open(NAME, value), Ok(plain));
    assert_ne!(value[5..HEAD], whole[5..HEAD], "a nonce twice");
}

/// The content of the seal: a session or nothing, and a session as it was written.
fn written(plain: &[u8]) {
    let Some(session) = record::read(plain) else {
        return;
    };
    let identity = &session.identity;
    assert!(!identity.appid.is_empty() && !identity.openid.is_empty());
    let again = record::write(&session);
    assert_eq!(record::read(&again).as_ref(), Some(&session));
    assert_eq!(record::write(&session), again);
}

fn seal(plain: &[u8]) -> Vec<u8> {
    let sealed = SEALER.seal(APPID, NAME, b"", plain);
    sealed.unwrap_or_else(|error| panic!("{error}"))
}
