//! The endpoints of the fake.

use serde::Deserialize;

/// An endpoint of the fake, which faults can be queued for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `GET /sns/jscode2session`.
    Jscode2session,
    /// `POST /cgi-bin/stable_token`.
    StableToken,
    /// `GET /cgi-bin/token`.
    Token,
    /// `POST /wxa/business/getuserphonenumber`.
    Getuserphonenumber,
    /// `POST /wxa/msg_sec_check`.
    MsgSecCheck,
    /// `POST /cgi-bin/media/upload`.
    MediaUpload,
    /// `GET /cgi-bin/media/get`.
    MediaGet,
    /// `GET /wxa/checksession`.
    Checksession,
}

impl Endpoint {
    /// All endpoints.
    pub(super) const ALL: [Self; 8] = [
        Self::Jscode2session,
        Self::StableToken,
        Self::Token,
        Self::Getuserphonenumber,
        Self::MsgSecCheck,
        Self::MediaUpload,
        Self::MediaGet,
        Self::Checksession,
    ];

    /// The name in `/_mock/fault` and `/_mock/stats`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Jscode2session => "jscode2session",
            Self::StableToken => "stable_token",
            Self::Token => "token",
            Self::Getuserphonenumber => "getuserphonenumber",
            Self::MsgSecCheck => "msg_sec_check",
            Self::MediaUpload => "media_upload",
            Self::MediaGet => "media_get",
            Self::Checksession => "checksession",
        }
    }
}
