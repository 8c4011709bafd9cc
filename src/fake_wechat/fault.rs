//! Faults that tests can queue.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

/// One entry of an endpoint's queue of faults. Fields may be combined; `Fault::default()` changes
/// nothing for one call.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Number of calls with this fault; -1 is every call until a reset. Default 1.
    pub times: i64,
    /// Respond with this errcode and do nothing else; a code stays unspent.
    pub errcode: Option<i64>,
    /// The errmsg of `errcode`, sent unchanged, without a rid.
    pub errmsg: Option<String>,
    /// Delay before the response, in milliseconds.
    pub delay_ms: u64,
    /// HTTP status of the response.
    pub status: Option<u16>,
    /// `Content-Type` of the response.
    pub content_type: Option<String>,
    /// `Location` of the response.
    pub location: Option<String>,
    /// Respond with this body and do nothing else; a code stays unspent.
    pub body: Option<String>,
    /// Close the connection after this many bytes of the body; `Content-Length` is that of the
    /// whole body.
    pub truncate: Option<usize>,
    /// Close the connection without a response.
    pub drop: Option<DropWhen>,
    /// Send the errcode as text.
    pub string_errcode: bool,
    /// Send `errcode` 0 and `errmsg` also on success.
    pub errcode0: bool,
    /// Send the fields in reverse order.
    pub reorder: bool,
    /// Fields to leave out.
    pub omit: Vec<String>,
    /// Fields to add or to replace.
    pub extra: Map<String, Value>,
}

/// The moment at which a connection is closed without a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DropWhen {
    /// Before the call is carried out.
    Before,
    /// After the call was carried out: the code is spent, and the client does not know it.
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
