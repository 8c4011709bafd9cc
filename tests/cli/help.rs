//! `--help` and `--version`.

use crate::support::Folder;

const COMMANDS: [&str; 9] = [
    "run",
    "check",
    "dev",
    "explain",
    "init",
    "healthcheck",
    "schema",
    "sessions",
    "users",
];

#[test]
fn the_help_names_every_command_and_the_way_to_begin() {
    let said = Folder::new().skeygate(&["--help"]);

    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    for command in COMMANDS {
        let line = format!("\n  {command} ");
        assert!(said.stdout.contains(&line), "{}", said.stdout);
    }
    assert!(said.stdout.contains("skeygate dev"), "{}", said.stdout);
    assert!(said.stdout.contains("skeygate init"), "{}", said.stdout);
}

#[test]
fn no_line_of_a_help_is_wider_than_100_columns() {
    let folder = Folder::new();
    let mut text = folder.skeygate(&["--help"]).stdout;
    for command in COMMANDS {
        text += &folder.skeygate(&[command, "--help"]).stdout;
    }
    for (command, actions) in [
        ("sessions", vec!["list", "revoke"]),
        ("users", vec!["show", "ban", "unban", "export"]),
    ] {
        for action in actions {
            text += &folder.skeygate(&[command, action, "--help"]).stdout;
        }
    }

    assert!(text.lines().count() > 100, "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn the_help_of_a_command_lists_its_exit_statuses() {
    let folder = Folder::new();
    let ends = [
        ("run", vec!["0 after SIGTERM", "78", "69", "second signal"]),
        ("check", vec!["0 or 78", "--connect", "69"]),
        ("dev", vec!["69", "78", "127.0.0.1", "Not for production"]),
        ("explain", vec!["64", "78", "hidden"]),
        ("init", vec!["with 1"]),
        ("healthcheck", vec!["with 1", "78", "/livez"]),
        ("sessions", vec!["with 1", "69", "78", "audit"]),
        ("users", vec!["with 1", "69", "78", "audit"]),
    ];
    for (command, parts) in ends {
        let said = folder.skeygate(&[command, "--help"]);
        assert_eq!(said.code, Some(0), "{command}");
        let text = said.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(
                text.contains(part),
                "no {part:?} in the help of {command}:\n{}",
                said.stdout
            );
        }
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let said = Folder::new().skeygate(&["--version"]);

    assert_eq!(
        said.stdout,
        format!("skeygate {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn without_a_command_it_shows_the_help() {
    let said = Folder::new().skeygate(&[]);

    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("healthcheck"), "{}", said.stderr);
}

#[test]
fn a_misspelt_command_is_asked_back() {
    let said = Folder::new().skeygate(&["chekc"]);

    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("'check'"), "{}", said.stderr);
}
