//! One attack: the bytes sent, the response due to the client, and the requests the upstream may
//! see.

/// Placeholder for the skey of a logged-in user in the bytes of a case.
pub(super) const SKEY: &str = "{skey}";

/// One attack over HTTP/1.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Says what is wrong with the bytes.
    pub(super) name: String,
    /// Written one after the other.
    pub(super) writes: Vec<Vec<u8>>,
    /// The client says that nothing more will come.
    pub(super) finishes: bool,
    /// The answers, in order.
    pub(super) answers: Vec<Want>,
    /// State of the connection afterwards.
    pub(super) end: End,
    /// The requests that reached the upstream whole, in order.
    pub(super) saw: Vec<Clean>,
    /// One more head may have reached it, of a request that never became whole.
    pub(super) may_be_cut: bool,
}

/// State of the connection after the last response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It serves the next request.
    Open,
    /// It is closed, without another byte.
    Closed,
    /// Either: the gateway reads an unwanted body or closes the connection, depending on how much
    /// has arrived.
    Either,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    /// The gateway's own refusal: status, `X-Gateway-Error`.
    Refusal(u16, &'static str),
    /// A refusal, or only the end of the connection: the request was cut off, so the client may be
    /// gone.
    RefusalOrEnd(u16, &'static str),
    /// The upstream's, to this method and target.
    Passed(&'static str, String),
    /// The same, perhaps after a `100 Continue`.
    Continued(&'static str, String),
    /// The upstream's, with this status and body.
    Status(u16, &'static str),
    /// 101, and these bytes come back through the tunnel.
    Tunnel(&'static str),
}

/// A request as the upstream must see it, whole: not one header more.
#[derive(Debug, Clone)]
pub(super) struct Clean {
    /// Method and target.
    pub(super) start: String,
    /// Empty for none.
    pub(super) host: String,
    /// How the body's length is told.
    pub(super) framing: Told,
    /// Without chunk sizes.
    pub(super) body: Vec<u8>,
    /// The caller is the user whose skey was sent.
    pub(super) known: bool,
    /// Headers beside those that the gateway writes.
    pub(super) headers: Vec<(&'static str, Vec<u8>)>,
    /// Behind a chunked body.
    pub(super) trailers: Vec<(&'static str, &'static str)>,
}

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Not at all: there is none.
    Nothing,
    /// `Content-Length`, as long as the body.
    Length,
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

impl Case {
    /// Sent in one write, if the network keeps it together.
    pub(super) fn new(name: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.into(),
            writes: vec![bytes.as_ref().to_vec()],
            finishes: false,
            answers: Vec::new(),
            end: End::Open,
            saw: Vec::new(),
            may_be_cut: false,
        }
    }

    /// A second write.
    pub(super) fn then(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.writes.push(bytes.as_ref().to_vec());
        self
    }

    /// The client ends its side behind the last byte.
    pub(super) fn finish(mut self) -> Self {
        self.finishes = true;
        self
    }

    /// Refused with 400 `bad_request`, and the connection is closed.
    pub(super) fn bad(self) -> Self {
        self.refused(400, "bad_request")
    }

    /// Refused, and the connection is closed.
    pub(super) fn refused(mut self, status: u16, error: &'static str) -> Self {
        self.answers.push(Want::Refusal(status, error));
        self.end = End::Closed;
        self
    }

    /// Refused, though there is no doubt where the next request begins: the connection goes on.
    pub(super) fn turned_down(mut self, status: u16, error: &'static str) -> Self {
        self.answers.push(Want::Refusal(status, error));
        self
    }

    /// Refused before its body was read: no byte of that becomes a request, whether it is read or
    /// the connection given up.
    pub(super) fn unread(mut self, status: u16, error: &'static str) -> Self {
        self.end = End::Either;
        self.turned_down(status, error)
    }

    /// Damaged in its body: 400 and closed. The head may be at the upstream by then; the request
    /// never is.
    pub(super) fn damaged(mut self) -> Self {
        self.may_be_cut = true;
        self.bad()
    }

    /// Cut off in its body: closed, with or without a word.
    pub(super) fn cut_off(mut self) -> Self {
        self.may_be_cut = true;
        self.answers.push(Want::RefusalOrEnd(400, "bad_request"));
        self.end = End::Closed;
        self.finish()
    }

    /// Passed on as this request, and answered.
    pub(super) fn passed(mut self, clean: Clean) -> Self {
        let (method, target) = clean.method_and_target();
        self.answers.push(Want::Passed(method, target));
        self.saw.push(clean);
        self
    }

    /// The same, perhaps with a `100 Continue` before.
    pub(super) fn continued(mut self, clean: Clean) -> Self {
        let (method, target) = clean.method_and_target();
        self.answers.push(Want::Continued(method, target));
        self.saw.push(clean);
        self
    }

    /// Passed on as this request, and answered with this status and body.
    pub(super) fn answered(mut self, clean: Clean, status: u16, body: &'static str) -> Self {
        self.answers.push(Want::Status(status, body));
        self.saw.push(clean);
        self
    }

    /// Becomes a tunnel, through which `echo` comes back.
    pub(super) fn tunnels(mut self, clean: Clean, echo: &'static str) -> Self {
        self.answers.push(Want::Tunnel(echo));
        self.saw.push(clean);
        self.end = End::Closed;
        self
    }

    /// The connection is closed behind the answers.
    pub(super) fn closed(mut self) -> Self {
        self.end = End::Closed;
        self
    }
}

impl Clean {
    /// A request without a body.
    pub(super) fn new(method: &str, target: &str) -> Self {
        Self {
            start: format!("{method} {target}"),
            host: "g".to_owned(),
            framing: Told::Nothing,
            body: Vec::new(),
            known: false,
            headers: Vec::new(),
            trailers: Vec::new(),
        }
    }

    /// A GET.
    pub(super) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST with a body of known length.
    pub(super) fn post(target: &str, body: impl AsRef<[u8]>) -> Self {
        let mut clean = Self::new("POST", target);
        clean.framing = Told::Length;
        clean.body = body.as_ref().to_vec();
        clean
    }

    /// The body in chunks.
    pub(super) fn chunked(mut self) -> Self {
        self.framing = Told::Chunked;
        self
    }

    /// One more header.
    pub(super) fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    /// One trailer.
    pub(super) fn trailer(mut self, name: &'static str, value: &'static str) -> Self {
        self.trailers.push((name, value));
        self
    }

    /// Another host than `g`.
    pub(super) fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// From the user whose skey was sent.
    pub(super) fn known(mut self) -> Self {
        self.known = true;
        self
    }

    fn method_and_target(&self) -> (&'static str, String) {
        let (method, target) = self.start.split_once(' ').expect("a method and a target");
        let method = if method == "HEAD" { "HEAD" } else { "any" };
        (method, target.to_owned())
    }
}
