//! `skeygate users`.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::operator::{Failure, Lines, Operator, Progress, UserSelector, cell, operate};
use super::{File, print_line, sessions};
use crate::clock;
use crate::config::{self, UserStore};
use crate::identity::Holder;
use crate::users::{Ban, Entry, EntryKind};

/// Longest reason of a ban.
const MAX_REASON_CHARS: usize = 256;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show a user: the ban, the stored profile and the live sessions.
    Show(Show),
    /// Ban a user: end all their sessions and refuse their logins (403 user_banned).
    ///
    /// Takes effect on every replica with the next request; requests and WebSockets in flight
    /// continue. An id that was merged into another bans that user. A ban replaces an earlier one.
    Ban(BanUser),
    /// Lift a ban.
    Unban(Show),
    /// Export the user directory: openids, unionids and merged ids, each with its user.
    ///
    /// Streams a directory of any size: from Redis in no order, and an entry may appear twice while
    /// logins continue; from a database in key order, from an adopted table by user id. APPID is
    /// empty (null) where such a table has no column for it.
    Export(Export),
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    user: User,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: File,
}

#[derive(Debug, clap::Args)]
struct BanUser {
    #[command(flatten)]
    user: User,
    /// The reason, for the operators' records; the user does not see it. At most 256 characters.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Duration, e.g. 12h or 30d; without it until `unban`.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasts: Option<Duration>,
    /// Print the result as a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: File,
}

#[derive(Debug, clap::Args)]
struct Export {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: File,
}

#[derive(Debug, clap::Args)]
struct User {
    /// A user, by the id in X-User-Id.
    #[arg(
        value_name = "ID",
        required_unless_present = "openid",
        conflicts_with = "openid"
    )]
    id: Option<String>,
    /// A user, by openid.
    #[arg(long, value_name = "OPENID", allow_hyphen_values = true)]
    openid: Option<String>,
    /// The app of --openid, by name or appid; the default app unless given.
    #[arg(long, value_name = "APP", requires = "openid")]
    app: Option<String>,
}

pub(super) fn users(arguments: &Arguments) -> ExitCode {
    match &arguments.action {
        Action::Show(show) => operate(&show.file, async |operator| {
            let holder = named(&operator, &show.user).await?;
            show_user(&operator, &holder, show.json).await
        }),
        Action::Ban(ban) => operate(&ban.file, async |operator| {
            let holder = named(&operator, &ban.user).await?;
            ban_user(&operator, &holder, ban).await
        }),
        Action::Unban(unban) => operate(&unban.file, async |operator| {
            let holder = named(&operator, &unban.user).await?;
            unban_user(&operator, &holder, unban.json).await
        }),
        Action::Export(export) => operate(&export.file, async |operator| {
            export_users(&operator, export.json).await
        }),
    }
}

async fn named(operator: &Operator, user: &User) -> Result<Holder, Failure> {
    let selector = UserSelector {
        user: user.id.clone(),
        openid: user.openid.clone(),
        app: user.app.clone(),
    };
    let not_named = || Failure::NotFound("no user is named".to_owned());
    operator.holder(&selector).await?.ok_or_else(not_named)
}

async fn show_user(operator: &Operator, holder: &Holder, as_json: bool) -> Result<(), Failure> {
    let operations = &operator.operations;
    let current = operations.current(holder).await?;
    let ban = operations.ban_of(&current).await?;
    let profile = operations.profile_of(&current).await?;
    let mut lines = Lines::new();
    if as_json {
        let mut head = name(&current);
        head["merged_from"] = if current == *holder {
            Value::Null
        } else {
            name(holder)
        };
        head["ban"] = json!(ban);
        if let Some(profile) = &profile {
            let fields = profile.iter();
            let fields = fields.map(|(field, value)| (field.name().to_owned(), json!(value)));
            head["profile"] = Value::Object(fields.collect());
        }
        // Sessions are streamed, since a user may have many.
        let head = head.to_string();
        lines.text(head.strip_suffix('}').unwrap_or_default());
        lines.text(",\"sessions\":[");
    } else {
        lines.line(&format!("user      {}", cell(&shown(&current))));
        if current != *holder {
            lines.line(&format!("merged    from {}", cell(&shown(holder))));
        }
        lines.line(&match &ban {
            Some(ban) => format!("banned    {}", told(ban)),
            None => "banned    no".to_owned(),
        });
        for (field, value) in profile.iter().flatten() {
            let value = cell(value.as_deref().unwrap_or_default());
            lines.line(&format!("{:<8}  {value}", field.name()));
        }
        lines.line(&sessions::heading());
    }
    // Sessions from before a merge keep the older id.
    let mut names = vec![&current, holder];
    names.dedup();
    let mut between = "";
    for name in names {
        let mut from = Some(0);
        while let Some(start) = from {
            let page = operations.sessions(Some(name), start).await?;
            for listed in &page.listed {
                if as_json {
                    lines.text(between);
                    lines.text(&sessions::as_json(listed));
                    between = ",";
                } else {
                    lines.line(&sessions::row(listed));
                }
            }
            if !lines.flush() {
                return Ok(());
            }
            from = page.next;
        }
    }
    if as_json {
        lines.line("]}");
    }
    lines.flush();
    Ok(())
}

async fn ban_user(operator: &Operator, holder: &Holder, wanted: &BanUser) -> Result<(), Failure> {
    let operations = &operator.operations;
    let ban = Ban::new(&wanted.reason, wanted.lasts);
    let mut progress = Progress::new(Some(operations.size().await?));
    let banned = operations.ban(holder, &ban, |looked_at| progress.add(looked_at));
    let banned = banned.await?;
    if wanted.json {
        let mut done = name(&banned.holder);
        done["ban"] = json!(ban);
        done["revoked"] = json!(banned.sessions);
        print_line(&done.to_string());
    } else {
        let user = cell(&shown(&banned.holder));
        print_line(&format!(
            "{user} is banned {}; sessions ended: {}",
            until(&ban),
            banned.sessions
        ));
    }
    Ok(())
}

async fn unban_user(operator: &Operator, holder: &Holder, as_json: bool) -> Result<(), Failure> {
    let operations = &operator.operations;
    let current = operations.current(holder).await?;
    let user = cell(&shown(&current));
    let Some(ban) = operations.unban(&current).await? else {
        return Err(Failure::NotFound(format!("{user} is not banned")));
    };
    if as_json {
        let mut done = name(&current);
        done["lifted"] = json!(ban);
        print_line(&done.to_string());
    } else {
        print_line(&format!(
            "{user} may log in again; was banned {}",
            told(&ban)
        ));
    }
    Ok(())
}

async fn export_users(operator: &Operator, as_json: bool) -> Result<(), Failure> {
    let operations = &operator.operations;
    let total = match &operator.users {
        // Each kind of entry is a separate scan of all keys.
        UserStore::Redis => Some(operations.size().await?.saturating_mul(3)),
        UserStore::Sql(_) => None,
        UserStore::Webhook(_) => {
            let text = "users.store = \"webhook\": its service holds the directory; bans and sessions are kept here, by user id";
            return Err(Failure::Config(text.to_owned()));
        }
        UserStore::Memory => {
            let text = "users.store = \"memory\": the directory is in the memory of the running gateway, which commands cannot reach";
            return Err(Failure::Config(text.to_owned()));
        }
        UserStore::Off => {
            let text = "users.store = \"off\": there is no directory to export";
            return Err(Failure::Config(text.to_owned()));
        }
    };
    let mut lines = Lines::new();
    if !as_json {
        let (user, kind, appid) = ("USER", "KIND", "APPID");
        lines.line(&format!("{user:<16}  {kind:<7}  {appid:<18}  ID"));
    }
    let kinds = [EntryKind::Openids, EntryKind::Unionids, EntryKind::Merged];
    let mut progress = Progress::new(total);
    let mut exported = 0;
    for kind in kinds {
        let mut from = Some(String::new());
        while let Some(start) = from {
            let page = operations.entries(kind, &start).await?;
            progress.add(page.looked_at);
            for entry in &page.entries {
                exported += 1;
                lines.line(&match as_json {
                    true => entry_json(entry),
                    false => entry_row(entry),
                });
            }
            if !lines.flush() {
                // The reader closed the pipe; the entries so far were exported.
                operations.note_export(exported);
                return Ok(());
            }
            from = page.next;
        }
    }
    operations.note_export(exported);
    Ok(())
}

fn entry_json(entry: &Entry) -> String {
    match entry {
        Entry::Openid {
            user_id,
            appid,
            openid,
        } => {
            let appid = Some(appid).filter(|appid| !appid.is_empty());
            json!({ "user_id": user_id, "appid": appid, "openid": openid })
        }
        Entry::Unionid { user_id, unionid } => json!({ "user_id": user_id, "unionid": unionid }),
        Entry::Merged { user_id, into } => json!({ "user_id": user_id, "merged_into": into }),
    }
    .to_string()
}

fn entry_row(entry: &Entry) -> String {
    let (user_id, kind, appid, id) = match entry {
        Entry::Openid {
            user_id,
            appid,
            openid,
        } => (user_id, "openid", appid.as_str(), openid),
        Entry::Unionid { user_id, unionid } => (user_id, "unionid", "", unionid),
        Entry::Merged { user_id, into } => (user_id, "merged", "", into),
    };
    let (user_id, appid, id) = (cell(user_id), cell(appid), cell(id));
    format!("{user_id:<16}  {kind:<7}  {appid:<18}  {id}")
}

fn name(holder: &Holder) -> Value {
    match holder {
        Holder::User(user_id) => json!({ "user_id": user_id }),
        Holder::Openid { appid, openid } => json!({ "appid": appid, "openid": openid }),
    }
}

fn shown(holder: &Holder) -> String {
    match holder {
        Holder::User(user_id) => user_id.clone(),
        Holder::Openid { appid, openid } => format!("{openid} of {appid}"),
    }
}

fn told(ban: &Ban) -> String {
    let since = clock::timestamp(ban.since);
    format!("since {since} {}: {}", until(ban), cell(&ban.reason))
}

fn until(ban: &Ban) -> String {
    match ban.until {
        Some(until) => format!("until {}", clock::timestamp(until)),
        None => "until it is lifted".to_owned(),
    }
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why".to_owned()),
        text if text.chars().count() > MAX_REASON_CHARS => {
            Err(format!("at most {MAX_REASON_CHARS} characters"))
        }
        text => Ok(text.to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    // Redis counts milliseconds in 63 bits; longer bans are surely mistakes.
    const MAX_BAN: Duration = Duration::from_secs(100 * 366 * 86_400);
    let lasts = config::duration(text).filter(|lasts| *lasts >= Duration::from_secs(1));
    lasts
        .filter(|lasts| *lasts <= MAX_BAN)
        .ok_or_else(|| "write a whole number and one of s, m, h, d, as in 30d".to_owned())
}
