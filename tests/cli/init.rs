//! `skeygate init`.

use crate::support::Folder;

#[test]
fn the_file_is_good_once_its_three_values_are_set() {
    let folder = Folder::new();

    let said = folder.skeygate(&["init"]);

    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        said.stdout.contains("skeygate check --config gateway.toml"),
        "{}",
        said.stdout
    );
    let text = folder.read("gateway.toml");
    assert_eq!(text.matches("<== SET THIS:").count(), 3);
    let set = text
        .replacen("wx0000000000000000", "wx1234567890abcdef", 1)
        .replacen("\"change-me\"", "\"0123456789abcdef0123456789abcdef\"", 1)
        .replacen("http://127.0.0.1:8000", "http://127.0.0.1:3000", 1);
    folder.write("gateway.toml", &set);
    let checked = folder.skeygate(&["check"]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    let folder = Folder::with("# mine\n");

    let said = folder.skeygate(&["init"]);

    assert_eq!(said.code, Some(1));
    assert_eq!(
        said.stderr,
        "writing gateway.toml: it exists already; name another file\n"
    );
    assert_eq!(folder.read("gateway.toml"), "# mine\n");
}

#[test]
fn another_name_can_be_given() {
    let folder = Folder::with("# mine\n");

    let said = folder.skeygate(&["init", "other.toml"]);

    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        said.stdout.contains("--config other.toml"),
        "{}",
        said.stdout
    );
    assert!(folder.read("other.toml").contains("[[apps]]"));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let said = Folder::new().skeygate(&["init", "nowhere/gateway.toml"]);

    assert_eq!(said.code, Some(1));
    assert!(
        said.stderr
            .starts_with("writing nowhere/gateway.toml: No such file"),
        "{}",
        said.stderr
    );
}
