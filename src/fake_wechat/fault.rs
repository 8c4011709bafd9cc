//! What may go wrong on order, and the order it goes wrong in.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

/// One entry of an endpoint's queue of faults. Fields may be combined; `Fault::default()` changes
/// nothing for one call.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Calls that meet it; -1 is every call until a reset. Default 1.
    pub times: i64,
    /// Answer this errcode instead of doing anything; a code stays unspent.
    pub errcode: Option<i64>,
    /// The errmsg of `errcode`; as it is, without a rid.
    pub errmsg: Option<String>,
    /// Wait this long first, in milliseconds.
    pub delay_ms: u64,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// `Content-Type` of the answer.
    pub content_type: Option<String>,
    /// `Location` of the answer.
    pub location: Option<String>,
    /// Body of the answer, instead of doing anything; a code stays unspent.
    pub body: Option<String>,
    /// Close the connection after this many bytes of the body, whose `Content-Length` is the whole.
    pub truncate: Option<usize>,
    /// Close the connection without an answer.
    pub drop: Option<DropWhen>,
    /// The errcode as text.
    pub string_errcode: bool,
    /// `errcode` 0 and `errmsg` also in a success.
    pub errcode0: bool,
    /// The fields in reverse.
    pub reorder: bool,
    /// Fields left out.
    pub omit: Vec<String>,
    /// Fields added, or put in place of those of the same name.
    pub extra: Map<String, Value>,
}

/// When a connection is closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DropWhen {
    /// Before anything is done.
    Before,
    /// After the call was carried out: the code is spent and nobody knows.
    After,
}

impl Fault {
    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            times: 1,
            errcode: None,
            errmsg: None,
            delay_ms: 0,
            status: None,
            content_type: None,
            location: None,
            body: None,
            truncate: None,
            drop: None,
            string_errcode: false,
            errcode0: false,
            reorder: false,
            omit: Vec::new(),
            extra: Map::new(),
        }
    }
}
