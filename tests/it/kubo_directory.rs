//! Directories: added whole, as they are, within their caps.

use std::{fs, os::unix::fs::symlink};

use timerose::kubo::{Add, Cat, Error, Fetch, Kind, Tree};

use crate::support::fake_kubo::FakeKubo;

/// `a`, `sub/b c`, `sub/ü+%"`, `.hidden`, and a link to a file outside.
fn sample() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("sub/empty")).unwrap();
    fs::write(dir.path().join("a"), "a\n").unwrap();
    fs::write(dir.path().join(".hidden"), "h\n").unwrap();
    fs::write(dir.path().join("sub/b c"), "b\n").unwrap();
    fs::write(dir.path().join("sub/ü+%\""), "ü\n").unwrap();
    symlink("/etc/hostname", dir.path().join("link")).unwrap();
    dir
}

#[tokio::test]
async fn a_directory_gets_the_cid_of_ipfs_add() {
    let (fake, dir) = (FakeKubo::alone().await, sample());
    let client = fake.client();
    let (all, seen) = (
        Tree::default(),
        Tree {
            hidden: false,
            ..Tree::default()
        },
    );
    let add = Add::default();
    // `ipfs add -r --cid-version=1 [--hidden]` of Kubo 0.43.0.
    let cid = client
        .add_directory(dir.path(), &all, &add)
        .await
        .unwrap()
        .cid;
    assert_eq!(
        cid.to_string(),
        "bafybeifys2a5mmpwxmh3tnqniv42ztj4aiiqu7mbx2hs6g3s2rnbhsmbfq"
    );
    let cid = client
        .add_directory(dir.path(), &seen, &add)
        .await
        .unwrap()
        .cid;
    assert_eq!(
        cid.to_string(),
        "bafybeihzaswp52n3yvukzevhvfihei4a5lynzdxnsdlrm7vlachgpiofre"
    );
}

#[tokio::test]
async fn names_and_kinds_come_back_and_links_stay_links() {
    let (fake, dir) = (FakeKubo::alone().await, sample());
    let client = fake.client();
    let root = client
        .add_directory(dir.path(), &Tree::default(), &Add::default())
        .await
        .unwrap();
    let top = client
        .ls(&root.cid.to_string(), Fetch::local())
        .await
        .unwrap();
    let names: Vec<_> = top
        .iter()
        .map(|entry| (entry.name.as_str(), entry.kind))
        .collect();
    let expected = [
        (".hidden", Kind::File),
        ("a", Kind::File),
        ("link", Kind::Symlink),
        ("sub", Kind::Directory),
    ];
    assert_eq!(names, expected);
    let path = format!("/ipfs/{}/sub/ü+%\"", root.cid);
    let content = client.cat(&path, &Cat::default()).await.unwrap();
    assert_eq!(content.collect(100).await.unwrap(), "ü\n");
    let cid = client.resolve(&path, Fetch::local()).await.unwrap();
    assert_eq!(client.block_get(&cid, Fetch::local()).await.unwrap(), "ü\n");
    let missing = client
        .resolve(&format!("/ipfs/{}/none", root.cid), Fetch::local())
        .await;
    assert!(matches!(missing, Err(Error::Rpc { .. })));
}

#[tokio::test]
async fn a_file_has_no_entries() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let body = timerose::kubo::AddBody::bytes(vec![1; 600_000].into());
    let cid = client.add(body, &Add::default()).await.unwrap().cid;
    assert_eq!(
        client.ls(&cid.to_string(), Fetch::local()).await.unwrap(),
        []
    );
}

#[tokio::test]
async fn a_directory_over_its_caps_is_refused_before_sending() {
    let (fake, dir) = (FakeKubo::alone().await, sample());
    let client = fake.client();
    for tree in [
        Tree {
            max_entries: 7,
            ..Tree::default()
        },
        Tree {
            max_bytes: 8,
            ..Tree::default()
        },
    ] {
        let error = client
            .add_directory(dir.path(), &tree, &Add::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
    assert_eq!(fake.calls("add"), 0);
    let exact = Tree {
        max_entries: 8,
        max_bytes: 9,
        hidden: true,
    };
    client
        .add_directory(dir.path(), &exact, &Add::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_no_directory_is_named() {
    let (fake, dir) = (FakeKubo::alone().await, sample());
    let client = fake.client();
    for name in ["a", "missing"] {
        let path = dir.path().join(name);
        let error = client
            .add_directory(&path, &Tree::default(), &Add::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Local { .. }), "{error}");
        assert!(error.to_string().contains(name));
    }
}

#[tokio::test]
async fn a_thousand_files_are_not_opened_at_once() {
    let (fake, dir) = (FakeKubo::alone().await, tempfile::tempdir().unwrap());
    for i in 0..3000 {
        fs::write(dir.path().join(format!("{i:04}")), i.to_string()).unwrap();
    }
    let client = fake.client();
    let root = client
        .add_directory(dir.path(), &Tree::default(), &Add::default())
        .await
        .unwrap();
    let entries = client
        .ls(&root.cid.to_string(), Fetch::local())
        .await
        .unwrap();
    assert_eq!(entries.len(), 3000);
}
