//! The Kubo beside this node: reachable, new enough, pubsub on, RPC shut.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::check::Check;
use crate::{
    cli::context::Context,
    kubo::{Address, Client, Error, Version},
};

/// How long our own message may take to come back to us.
const ECHO: Duration = Duration::from_secs(3);

/// How often it is said again meanwhile.
const AGAIN: Duration = Duration::from_millis(300);

pub(super) async fn checks(cx: &Context) -> Vec<Check> {
    let Ok(config) = cx.config(toml::Table::new()) else {
        return Vec::new();
    };
    let client = match config.kubo.client() {
        Ok(client) => client,
        Err(error) => return vec![bad("kubo", &error)],
    };
    let version = match client.version().await {
        Ok(version) => version,
        Err(error) => return vec![bad("kubo", &error)],
    };
    let mut checks = vec![floor(&version), pubsub(&client).await];
    match client.config_show().await {
        Ok(shown) => checks.extend([exposure(&client, &shown), secrets(&shown), streams(&shown)]),
        Err(error) => checks.push(Check::warn(
            "kubo settings",
            error.to_string(),
            help(&error),
        )),
    }
    checks
}

fn bad(check: &'static str, error: &Error) -> Check {
    Check::fail(check, error.to_string(), help(error))
}

fn help(error: &Error) -> String {
    error.hint().unwrap_or("See Kubo's log.").to_owned()
}

fn floor(version: &Version) -> Check {
    let finding = format!("{version} answers");
    if *version < Version::FLOOR {
        return Check::fail(
            "kubo",
            format!("{finding}, but {} is the oldest safe one", Version::FLOOR),
            "scripts/install-kubo",
        );
    }
    Check::ok("kubo", finding)
}

async fn pubsub(client: &Client) -> Check {
    match tokio::time::timeout(ECHO, echo(client)).await {
        Ok(Ok(())) => Check::ok("pubsub", "own message came back"),
        Ok(Err(error)) => bad("pubsub", &error),
        Err(_) => Check::fail(
            "pubsub",
            format!("own message did not come back within {} s", ECHO.as_secs()),
            "Restart Kubo; if it stays so, `ipfs pubsub reset` while it is down.",
        ),
    }
}

/// Says something on a topic of its own until it comes back.
async fn echo(client: &Client) -> Result<(), Error> {
    let word = ulid::Ulid::new().to_string();
    let topic = format!("timerose/1/doctor/{word}");
    let mut subscription = client.subscribe(&topic).await?;
    loop {
        client.publish(&topic, Bytes::from(word.clone())).await?;
        match tokio::time::timeout(AGAIN, subscription.next()).await {
            Ok(Ok(Some(message))) if message.data == word.as_bytes() => return Ok(()),
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) => return Err(error),
        }
    }
}

fn exposure(client: &Client, shown: &Value) -> Check {
    const NAME: &str = "kubo rpc";
    if matches!(client.endpoint().address(), Some(Address::Unix(_))) {
        return Check::ok(NAME, "on a unix socket");
    }
    let open: Vec<&str> = strings(shown.pointer("/Addresses/API"))
        .filter(|a| !is_local(a))
        .collect();
    if open.is_empty() {
        return Check::ok(NAME, "on loopback");
    }
    Check::fail(
        NAME,
        format!("whoever reaches {} owns this node", open.join(", ")),
        "ipfs config Addresses.API /ip4/127.0.0.1/tcp/5001, then restart Kubo",
    )
}

fn secrets(shown: &Value) -> Check {
    const NAME: &str = "kubo secrets";
    match shown.pointer("/API/Authorizations") {
        Some(Value::Object(entries)) if !entries.is_empty() => {
            Check::ok(NAME, "API.Authorizations is set")
        }
        _ => Check::warn(
            NAME,
            "every process of this machine can use the RPC",
            "API.Authorizations: see docs/security.md",
        ),
    }
}

fn streams(shown: &Value) -> Check {
    const NAME: &str = "p2p streams";
    if shown.pointer("/Experimental/Libp2pStreamMounting") == Some(&Value::Bool(true)) {
        return Check::ok(NAME, "on");
    }
    Check::ok(NAME, "off: links go over pubsub")
}

/// A string, or a list of them, as Kubo writes addresses.
fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let one = value.and_then(Value::as_str).into_iter();
    let many = value.and_then(Value::as_array).into_iter().flatten();
    one.chain(many.filter_map(Value::as_str))
}

fn is_local(address: &str) -> bool {
    let local = [
        "/ip4/127.",
        "/ip6/::1/",
        "/unix/",
        "/dns/localhost/",
        "/dns4/localhost/",
    ];
    local.iter().any(|start| address.starts_with(start))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_address_and_many_are_read() {
        assert_eq!(strings(Some(&json!("/ip4/127.0.0.1/tcp/5001"))).count(), 1);
        let many = json!(["/unix/a", "/ip4/0.0.0.0/tcp/5001"]);
        assert_eq!(strings(Some(&many)).filter(|a| !is_local(a)).count(), 1);
    }
}
