//! Real services read a path as the route that was checked: without an skey no spelling of a path
//! reaches a protected page, and with one the response came by the route that requires it.

use std::net::SocketAddr;

use crate::support::client::Client;
use crate::support::setup::Setup;
use crate::support::sites::{PUBLIC, SECRET, Site};
use crate::support::stack::Stack;

/// Everything is open but what lies below `/admin`; then one page alone is closed; then also with
/// encoded bytes let through.
const ROUTES: [&str; 3] = [
    r#"
    [[routes]]
    path = "/*"
    upstream = "api"
    auth = "off"
    response_headers = { set = { "X-Route" = "open" } }
    [[routes]]
    path = "/admin/*"
    upstream = "api"
    response_headers = { set = { "X-Route" = "closed" } }
    "#,
    r#"
    [[routes]]
    path = "/*"
    upstream = "api"
    auth = "off"
    response_headers = { set = { "X-Route" = "open" } }
    [[routes]]
    path = "/admin/secret"
    upstream = "api"
    response_headers = { set = { "X-Route" = "closed" } }
    [[routes]]
    path = "/admin/secret.php"
    upstream = "api"
    response_headers = { set = { "X-Route" = "closed" } }
    "#,
    r#"
    [[routes]]
    path = "/*"
    upstream = "api"
    auth = "off"
    allow_encoded = ["/", "%"]
    response_headers = { set = { "X-Route" = "open" } }
    [[routes]]
    path = "/admin/*"
    upstream = "api"
    allow_encoded = ["/", "%"]
    response_headers = { set = { "X-Route" = "closed" } }
    "#,
];

/// Ways to ask for `/admin/secret`, for some service.
const TARGETS: [&str; 137] = [
    "/admin/secret",
    "/admin/secret/",
    "/admin/secret//",
    "/admin//secret",
    "//admin/secret",
    "///admin///secret///",
    "/Admin/secret",
    "/ADMIN/SECRET",
    "/admin/Secret",
    "/aDmIn/secret/",
    "/ADMIN//secret/",
    "/%61dmin/secret",
    "/%41dmin/secret",
    "/admin/%73ecret",
    "/admin/%53ecret/",
    "/%61%64%6d%69%6e/%73%65%63%72%65%74",
    "/%61%64%6D%69%6E/%73%65%63%72%65%74/",
    "/admin%2fsecret",
    "/admin%2Fsecret",
    "/Admin%2fsecret",
    "/admin/%2fsecret",
    "/%2fadmin/secret",
    "/%2Fadmin%2Fsecret%2F",
    "/admin/secret%2f",
    "/admin%252fsecret",
    "/%252fadmin/secret",
    "/%2561dmin/secret",
    "/%2541dmin/secret",
    "/%252561dmin/secret",
    "/admin/%2573ecret",
    "/./admin/secret",
    "/admin/./secret",
    "/%2e/admin/secret",
    "/admin/%2E/secret",
    "/admin/secret/.",
    "/admin/secret/%2e",
    "/admin/secret/x/..",
    "/admin/x/../secret",
    "/x/../admin/secret",
    "/../admin/secret",
    "/../../../../admin/secret",
    "/public/../admin/secret",
    "/public/%2e%2e/admin/secret",
    "/public/%2E%2E/admin/secret",
    "/public/.%2e/admin/secret",
    "/public/%2E./admin/secret",
    "/public/..%2fadmin/secret",
    "/public%2f..%2fadmin%2fsecret",
    "/public/%2e%2e%2fadmin%2fsecret",
    "/public%2f%2e%2e/admin/secret",
    "/public/%252e%252e/admin/secret",
    "/public/%252e%252e%252fadmin%252fsecret",
    "/public%252f..%252fadmin/secret",
    "/public/..%252fadmin/secret",
    "/public/%25252e%25252e/admin/secret",
    "/public/hello/../../admin/secret",
    "/public/..;/admin/secret",
    "/public/..;x=1/admin/secret",
    "/public/..%3b/admin/secret",
    "/public/;/../admin/secret",
    "/;/admin/secret",
    "/;x/admin/secret",
    "/admin;/secret",
    "/admin;x=1/secret",
    "/admin/secret;",
    "/admin/secret;x",
    "/admin%3bx/secret",
    "/admin/secret%3Bx",
    "/admin%253bx/secret",
    "\\admin\\secret",
    "/admin\\secret",
    "/\\admin\\secret",
    "/public\\..\\admin\\secret",
    "/public/..\\admin/secret",
    "/admin%5csecret",
    "/%5cadmin%5Csecret",
    "/public/..%5cadmin%5csecret",
    "/public/%2e%2e%5cadmin/secret",
    "/admin%255csecret",
    "/public/..%255cadmin/secret",
    "/admin/secret%00",
    "/admin/secret%00.txt",
    "/admin%00/secret",
    "/admin/secret%2500",
    "/admin/secret%20",
    "/admin%20/secret",
    "/admin/secret.",
    "/admin./secret",
    "/admin/secret%0a",
    "/admin/secret%0d%0a",
    "/admin/secret%09",
    "/%09/admin/secret",
    "/admin/secret%7f",
    "/admin/secret?",
    "/admin/secret?x=/public/hello",
    "/admin/secret??/../../public/hello",
    "/Admin/secret?x",
    "/public/hello?/../../admin/secret",
    "/public/hello?x=/admin/secret",
    "/public/hello%3f/../../admin/secret",
    "/public/hello%3F/../../admin/secret",
    "/admin/secret#",
    "/admin/secret#/public/hello",
    "/public/hello#/../../admin/secret",
    "/public/hello%23/../../admin/secret",
    "/#/../admin/secret",
    "/%c0%ae%c0%ae/admin/secret",
    "/public/%c0%ae%c0%ae/admin/secret",
    "/public/%c0%ae%c0%ae%c0%afadmin/secret",
    "/public/%e0%80%ae%e0%80%ae/admin/secret",
    "/admin%c0%afsecret",
    "/admin%e0%80%afsecret",
    "/public/%uff0e%uff0e/admin/secret",
    "/%u0061dmin/secret",
    "/adm%C4%B1n/secret",
    "/admin/%C5%BFecret",
    "/%EF%BD%81dmin/secret",
    "/public/\u{2025}/admin/secret",
    "/admin\u{ff0f}secret",
    "/admin/secret%C2%A0",
    "/admin/secret%EF%BB%BF",
    "/admin/secret%",
    "/admin/secret%2",
    "/%/../admin/secret",
    "/admin/secret~",
    "/admin:/secret",
    "/admin/secret::$DATA",
    "/index.php/admin/secret",
    "/Index.php/Admin/secret",
    "/index.php/admin%2fsecret",
    "/index.php//admin/secret/",
    "/http://gateway.test/admin/secret",
    "http://gateway.test/admin/secret",
    "http://gateway.test/Admin/secret",
    "http://gateway.test/public/../admin/secret",
    "HTTP://GATEWAY.TEST//admin/secret",
    "http://other.test/admin/secret",
];

/// A page and its `PATH_INFO` in PHP. A route for one exact path does not protect paths below it,
/// and `check` says so.
const BELOW: [&str; 2] = ["/admin/secret/x", "/admin/secret/index.php"];

struct Answer {
    status: u16,
    route: Option<String>,
    text: String,
}

/// Sends the target byte for byte and reads all that comes until the connection ends.
async fn ask(to: SocketAddr, target: &str, skey: Option<&str>) -> Answer {
    let skey = skey.map_or(String::new(), |skey| format!("skey: {skey}\r\n"));
    let mut client = Client::connect(to).await;
    client
        .write(format!(
            "GET {target} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n{skey}\r\n"
        ))
        .await;
    let mut bytes = Vec::new();
    loop {
        let some = client.some().await;
        if some.is_empty() {
            break;
        }
        bytes.extend(some);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let header = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with(name));
        line.and_then(|line| Some(line.split_once(": ")?.1.to_owned()))
    };
    Answer {
        status: text
            .get(9..12)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0),
        route: header("x-route:"),
        text,
    }
}

/// The targets for this name of the secret page.
fn targets(name: &str, routes: &str) -> Vec<String> {
    let upper = name.to_ascii_uppercase();
    let below: &[&str] = match routes.contains("/admin/*") {
        true => &BELOW,
        false => &[],
    };
    TARGETS
        .iter()
        .chain(below)
        .map(|target| target.replace("secret", name).replace("SECRET", &upper))
        .collect()
}

/// Sends every target through every gateway. Alone the service must take many of them for the
/// secret page, or the table would prove nothing: 48 to 117 when this was written.
async fn hold(site: Site, names: &[&str]) {
    let mut served_alone = 0;
    for (number, routes) in ROUTES.into_iter().enumerate() {
        let stack = Stack::start(Setup::new().memory().upstream(&site.url()).routes(routes)).await;
        let skey = stack.login("ann").await;
        let open = ask(stack.address(), "/public/hello", None).await;
        for name in names {
            let closed = ask(stack.address(), &format!("/admin/{name}"), Some(&skey)).await;
            assert!(closed.text.contains(SECRET), "{}", closed.text);
            for target in targets(name, routes) {
                let anonymous = ask(stack.address(), &target, None).await;
                assert!(
                    anonymous.status >= 200,
                    "no answer to {target}: {}",
                    anonymous.text
                );
                assert!(
                    !anonymous.text.contains(SECRET),
                    "{target} under the routes {number}: {}",
                    anonymous.text
                );
                let known = ask(stack.address(), &target, Some(&skey)).await;
                let expected = if known.text.contains(SECRET) {
                    Some("closed")
                } else if known.text.contains(PUBLIC) {
                    Some("open")
                } else {
                    continue;
                };
                assert_eq!(known.route.as_deref(), expected, "{target}: {}", known.text);
            }
        }
        assert_eq!(open.route.as_deref(), Some("open"), "{}", open.text);
    }
    for name in names {
        for target in targets(name, ROUTES[0]) {
            let alone = ask(site.address(), &target, None).await;
            served_alone += usize::from(alone.text.contains(SECRET));
        }
    }
    assert!(served_alone > 30, "alone it serves only {served_alone}");
}

#[tokio::test]
async fn files_of_php_are_those_that_were_checked() {
    hold(Site::php_files().await, &["secret", "secret.php"]).await;
}

#[tokio::test]
async fn a_front_controller_in_php_serves_the_page_that_was_checked() {
    hold(Site::php_front().await, &["secret", "secret.php"]).await;
}

#[tokio::test]
async fn files_of_nginx_are_those_that_were_checked() {
    hold(Site::nginx_files().await, &["secret", "secret.php"]).await;
}

#[tokio::test]
async fn nginx_with_php_fpm_serves_the_page_that_was_checked() {
    hold(Site::nginx_php().await, &["secret", "secret.php"]).await;
}

#[tokio::test]
async fn express_takes_the_route_that_was_checked() {
    hold(Site::express().await, &["secret"]).await;
}

#[tokio::test]
async fn files_of_python_are_those_that_were_checked() {
    hold(Site::python_files().await, &["secret", "secret.php"]).await;
}
