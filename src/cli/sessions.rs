//! `skeygate sessions`.

use std::process::ExitCode;

use serde_json::json;

use super::File;
use super::operator::{
    Failure, Lines, Operator, Progress, ResolvedUser, UserSelector, cell, operate,
};
use crate::clock;
use crate::identity::Holder;
use crate::session::{Handle, Listed};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List live sessions: those of one user by login time, or all in no order.
    ///
    /// A session is named by a handle, which grants no access. The time last seen is exact to 10
    /// minutes. Listing all sessions takes a while on a large Redis, and a session renewed
    /// meanwhile may appear twice.
    List(List),
    /// End one session, by its handle, or all sessions of one user, with --all.
    ///
    /// Every replica refuses the session from the next request on; requests and WebSockets in
    /// flight continue. A handle without its user is searched for among all sessions.
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    selector: UserSelector,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: File,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// The session's handle, as `list` shows it.
    #[arg(value_name = "HANDLE", required_unless_present = "all", value_parser = handle)]
    #[arg(allow_hyphen_values = true)]
    handle: Option<Handle>,
    #[command(flatten)]
    selector: UserSelector,
    /// All sessions of the user.
    #[arg(long, conflicts_with = "handle")]
    all: bool,
    /// Print the result as a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: File,
}

pub(super) fn sessions(arguments: &Arguments) -> ExitCode {
    match &arguments.action {
        Action::List(list) => operate(&list.file, async |operator| {
            list_sessions(&operator, list).await
        }),
        Action::Revoke(revoke) => operate(&revoke.file, async |operator| {
            revoke_sessions(&operator, revoke).await
        }),
    }
}

async fn list_sessions(operator: &Operator, list: &List) -> Result<(), Failure> {
    let operations = &operator.operations;
    let resolved = operator.resolve(&list.selector).await?;
    let mut lines = Lines::new();
    if !list.json {
        if let Some(resolved) = &resolved {
            resolved.print_merge();
        }
        lines.line(&heading());
    }
    let mut progress = Progress::new(Some(operations.size().await?));
    let mut unreadable = 0;
    for holder in names(resolved.as_ref()) {
        let mut from = Some(0);
        while let Some(start) = from {
            let page = operations.sessions(holder, start).await?;
            progress.add(page.looked_at);
            for listed in &page.listed {
                lines.line(&if list.json {
                    as_json(listed)
                } else {
                    row(listed)
                });
            }
            if !lines.flush() {
                return Ok(());
            }
            unreadable += page.unreadable;
            from = page.next;
        }
    }
    if unreadable > 0 {
        super::print_error(&format!(
            "{unreadable} more cannot be decrypted with the keys of this file; they are unusable"
        ));
    }
    Ok(())
}

async fn revoke_sessions(operator: &Operator, revoke: &Revoke) -> Result<(), Failure> {
    let operations = &operator.operations;
    let resolved = operator.resolve(&revoke.selector).await?;
    let ended = match (&revoke.handle, &resolved) {
        (Some(handle), resolved) => {
            let Some(listed) = find(operator, handle, resolved.as_ref()).await? else {
                return Err(not_found(handle));
            };
            if !operations.revoke(&listed).await? {
                return Err(not_found(handle));
            }
            1
        }
        (None, Some(resolved)) => {
            let mut ended = 0;
            for holder in resolved.names() {
                ended += operations.revoke_all(holder).await?.sessions;
            }
            ended
        }
        (None, None) => {
            let text = "write --user or --openid; no command logs all users out";
            return Err(Failure::NotFound(text.to_owned()));
        }
    };
    if revoke.json {
        let mut done = json!({ "revoked": ended });
        if let Some((named, current)) = resolved.as_ref().and_then(ResolvedUser::merged) {
            done["user_id"] = json!(current);
            done["merged_from"] = json!(named);
        }
        super::print_line(&done.to_string());
        return Ok(());
    }
    if let Some(resolved) = &resolved {
        resolved.print_merge();
    }
    super::print_line(&match ended {
        1 => "1 session ended".to_owned(),
        _ => format!("{ended} sessions ended"),
    });
    Ok(())
}

/// The ids whose sessions are searched; a single `None` searches all.
fn names(resolved: Option<&ResolvedUser>) -> Vec<Option<&Holder>> {
    resolved.map_or_else(
        || vec![None],
        |resolved| resolved.names().into_iter().map(Some).collect(),
    )
}

fn not_found(handle: &Handle) -> Failure {
    Failure::NotFound(format!("no live session is named {handle}"))
}

async fn find(
    operator: &Operator,
    handle: &Handle,
    resolved: Option<&ResolvedUser>,
) -> Result<Option<Listed>, Failure> {
    let operations = &operator.operations;
    let mut progress = Progress::new(Some(operations.size().await?));
    for holder in names(resolved) {
        let mut from = Some(0);
        while let Some(start) = from {
            let page = match holder {
                Some(_) => operations.sessions(holder, start).await?,
                None => operations.named(handle, start).await?,
            };
            progress.add(page.looked_at);
            let mut listed = page.listed.into_iter();
            if let Some(found) = listed.find(|listed| listed.is_named(handle)) {
                return Ok(Some(found));
            }
            from = page.next;
        }
    }
    Ok(None)
}

fn handle(text: &str) -> Result<Handle, String> {
    Handle::parse(text)
        .ok_or_else(|| "not a handle; `skeygate sessions list` shows them".to_owned())
}

pub(super) fn heading() -> String {
    format!(
        "{:<12}  {:<16}  {:<18}  {:<20}  {:<20}  {:<20}  {:<15}  {:<8}  DEVICE",
        "HANDLE",
        "USER",
        "APPID",
        "LOGGED IN",
        "LAST SEEN",
        "ENDS UNLESS USED",
        "ADDRESS",
        "VERSION"
    )
}

pub(super) fn row(listed: &Listed) -> String {
    let session = &listed.session;
    let identity = &session.identity;
    let ends = clock::unix_seconds().saturating_add(listed.expires_in.as_secs());
    let address = session.origin.address.map(|address| address.to_string());
    let user = identity.user_id.as_ref().unwrap_or(&identity.openid);
    format!(
        "{:<12}  {:<16}  {:<18}  {}  {}  {}  {:<15}  {:<8}  {}",
        listed.handle().to_string(),
        cell(user),
        cell(&identity.appid),
        clock::timestamp(session.created),
        clock::timestamp(session.renewed),
        clock::timestamp(ends),
        cell(&address.unwrap_or_default()),
        cell(&session.origin.version),
        cell(&session.origin.device),
    )
}

pub(super) fn as_json(listed: &Listed) -> String {
    let session = &listed.session;
    let (identity, origin) = (&session.identity, &session.origin);
    json!({
        "handle": listed.handle().to_string(),
        "user_id": identity.user_id,
        "appid": identity.appid,
        "openid": identity.openid,
        "unionid": identity.unionid,
        "logged_in_at": session.created,
        "last_seen_at": session.renewed,
        "expires_in": listed.expires_in.as_secs(),
        "address": origin.address,
        "version": origin.version,
        "device": origin.device,
    })
    .to_string()
}
