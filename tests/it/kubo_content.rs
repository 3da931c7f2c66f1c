//! Content: nothing truncated, nothing false, nothing endless.
//!
//! Long because: one test per pitfall of reading, side by side.

use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use futures_util::stream;
use timerose::kubo::{
    Add, AddBody, BLOCK_LIMIT, Cat, Client, Codec, Error, Fetch, PinAdd, verify_block,
};

use crate::support::{
    fake_kubo::{Cut, FakeKubo, FakeNet, Held},
    noise,
};

const LIMIT: usize = 64 << 20;

async fn add(client: &Client, bytes: &Bytes) -> Cid {
    client
        .add(AddBody::bytes(bytes.clone()), &Add::default())
        .await
        .unwrap()
        .cid
}

fn quick() -> Cat {
    Cat {
        stall: Duration::from_millis(100),
        ..Cat::default()
    }
}

#[tokio::test]
async fn a_file_comes_back_whole_and_in_part() {
    let fake = FakeKubo::alone().await;
    let (client, bytes) = (fake.client(), noise(700_000));
    let path = add(&client, &bytes).await.to_string();
    let content = client.cat(&path, &Cat::default()).await.unwrap();
    assert_eq!(content.length(), Some(700_000));
    assert_eq!(content.collect(LIMIT).await.unwrap(), bytes);
    let part = Cat {
        offset: 262_000,
        length: Some(1000),
        ..Cat::default()
    };
    let part = client
        .cat(&path, &part)
        .await
        .unwrap()
        .collect(LIMIT)
        .await
        .unwrap();
    assert_eq!(part, bytes.slice(262_000..263_000));
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let path = add(&client, &Bytes::new()).await.to_string();
    let content = client.cat(&path, &Cat::default()).await.unwrap();
    assert_eq!(content.collect(LIMIT).await.unwrap(), Bytes::new());
}

#[tokio::test]
async fn a_truncated_body_is_never_success() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let cid = add(&client, &noise(700_000)).await;
    for at in [0, 1, 300_000, 699_999] {
        for cut in [Cut::Trailer, Cut::Silent, Cut::Reset, Cut::Stall] {
            fake.set(|faults| faults.cut = Some((at, cut)));
            let content = client.cat(&cid.to_string(), &quick()).await.unwrap();
            let error = content.collect(LIMIT).await.unwrap_err();
            let expected = match cut {
                Cut::Trailer => {
                    matches!(&error, Error::Trailer { message, .. } if message == "a block went missing")
                }
                Cut::Silent | Cut::Reset => matches!(error, Error::Truncated { .. }),
                Cut::Stall => matches!(error, Error::Stalled { .. }),
            };
            assert!(expected && error.retryable(), "{cut:?} at {at}: {error}");
        }
    }
}

#[tokio::test]
async fn a_truncated_archive_is_never_success() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let cid = add(&client, &noise(100_000)).await;
    let tar = client
        .archive(&cid, &quick())
        .await
        .unwrap()
        .collect(LIMIT)
        .await
        .unwrap();
    let mut archive = tar::Archive::new(tar.as_ref());
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|e| e.unwrap().path().unwrap().into_owned())
        .collect();
    assert_eq!(names, [std::path::PathBuf::from(cid.to_string())]);
    for cut in [Cut::Trailer, Cut::Silent, Cut::Reset, Cut::Stall] {
        fake.set(|faults| faults.cut = Some((tar.len() - 600, cut)));
        let content = client.archive(&cid, &quick()).await.unwrap();
        assert!(content.collect(LIMIT).await.is_err(), "{cut:?}");
    }
}

#[tokio::test]
async fn a_truncated_export_is_never_success() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let cid = add(&client, &noise(700_000)).await;
    for cut in [Cut::Trailer, Cut::Reset, Cut::Stall] {
        fake.set(|faults| faults.cut = Some((300_000, cut)));
        let content = client.dag_export(&cid, &quick()).await.unwrap();
        assert!(content.collect(LIMIT).await.is_err(), "{cut:?}");
    }
}

#[tokio::test]
async fn after_an_error_a_stream_has_ended() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let cid = add(&client, &noise(1000)).await;
    fake.set(|faults| faults.cut = Some((10, Cut::Silent)));
    let mut content = client.cat(&cid.to_string(), &quick()).await.unwrap();
    assert_eq!(content.next().await.unwrap().unwrap().len(), 10);
    assert!(content.next().await.is_err());
    assert_eq!(content.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_length_that_is_not_announced_is_refused() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let path = add(&client, &noise(10)).await.to_string();
    fake.set(|faults| faults.no_length = true);
    let error = client.cat(&path, &Cat::default()).await.unwrap_err();
    assert!(matches!(error, Error::BadAnswer { .. }), "{error}");
}

#[tokio::test]
async fn a_slow_reader_is_no_stall() {
    let fake = FakeKubo::alone().await;
    let (client, bytes) = (fake.client(), noise(700_000));
    let path = add(&client, &bytes).await.to_string();
    let mut content = client.cat(&path, &quick()).await.unwrap();
    let mut got = 0;
    while let Some(data) = content.next().await.unwrap() {
        got += data.len();
        if got < 100_000 {
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }
    assert_eq!(got, bytes.len());
}

#[tokio::test]
async fn more_than_the_cap_is_never_read() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let path = add(&client, &noise(1000)).await.to_string();
    let error = client
        .cat(&path, &Cat::default())
        .await
        .unwrap()
        .collect(999)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                size: 1000,
                limit: 999,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_cid_that_nobody_has_stalls_in_words_and_offline_is_told_at_once() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let cid = Codec::Raw.cid(b"nobody has it");
    let error = client.cat(&cid.to_string(), &quick()).await.unwrap_err();
    assert!(
        matches!(error, Error::Stalled { command: "cat", .. }),
        "{error}"
    );
    let offline = Cat {
        offline: true,
        ..Cat::default()
    };
    let error = client.cat(&cid.to_string(), &offline).await.unwrap_err();
    assert!(matches!(error, Error::NotLocal { .. }), "{error}");
    assert!(error.to_string().contains(&cid.to_string()));
    assert_eq!(client.block_stat(&cid, Fetch::local()).await.unwrap(), None);
}

#[tokio::test]
async fn a_block_is_what_its_cid_names_or_an_error() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let cid = client
        .block_put(b"\xa0", Codec::DagCbor, true)
        .await
        .unwrap();
    assert_eq!(
        cid.to_string(),
        "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
    );
    assert_eq!(
        client.block_get(&cid, Fetch::local()).await.unwrap(),
        "\u{a0}".as_bytes()[1..]
    );
    assert_eq!(
        client.block_stat(&cid, Fetch::local()).await.unwrap(),
        Some(1)
    );
    fake.set(|faults| faults.corrupt_blocks = true);
    let error = client.block_get(&cid, Fetch::local()).await.unwrap_err();
    assert!(matches!(error, Error::HashMismatch { .. }), "{error}");
    assert!(!error.retryable());
}

#[tokio::test]
async fn a_block_over_the_limit_is_neither_sent_nor_read() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let error = client
        .block_put(&noise(BLOCK_LIMIT + 1), Codec::Raw, false)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert_eq!(fake.calls("block/put"), 0);
}

#[tokio::test]
async fn cids_are_those_of_ipfs_add() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    // Computed with `ipfs add --cid-version=1 --only-hash` of Kubo 0.43.0.
    for (size, known) in [
        (
            0,
            "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        ),
        (262_144, FULL_CHUNK),
        (262_145, TWO_CHUNKS),
        (262_144 * 175, TWO_LEVELS),
    ] {
        let options = Add {
            only_hash: true,
            ..Add::default()
        };
        let body = AddBody::bytes(noise(size));
        let added = client.add(body, &options).await.unwrap();
        assert_eq!(added.cid.to_string(), known, "{size}");
    }
    assert_eq!(fake.blocks(), 0);
}

const FULL_CHUNK: &str = "bafkreiep65rql7vflzbjwyq3zyoqlznrfsaqpfmy5wtkhlnglsrjck72xm";
const TWO_CHUNKS: &str = "bafybeibnwsyqgjwwxrf62z3s5wqwx3jlvcrn6pnsrul2z2azciblhwiwoi";
const TWO_LEVELS: &str = "bafybeighxfg7l3ae7oqyyup7oaayxxu32jwsvhwygt6o4ykc4uxpkqbcle";

#[tokio::test]
async fn a_source_that_fails_is_named_and_nothing_is_added() {
    let fake = FakeKubo::alone().await;
    let broken = stream::iter([Ok(noise(10)), Err(std::io::Error::other("disk on fire"))]);
    let body = AddBody::stream("output", broken);
    let error = fake.client().add(body, &Add::default()).await.unwrap_err();
    assert!(matches!(error, Error::Local { .. }), "{error}");
    assert_eq!(error.to_string(), "output: disk on fire");
    assert_eq!(fake.blocks(), 0);
}

#[tokio::test]
async fn a_source_that_stops_is_a_stall() {
    let fake = FakeKubo::alone().await;
    let body = AddBody::stream("output", stream::pending());
    let options = Add {
        stall: Duration::from_millis(100),
        ..Add::default()
    };
    let error = fake.client().add(body, &options).await.unwrap_err();
    assert!(
        matches!(error, Error::Stalled { command: "add", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_slow_source_that_moves_is_no_stall() {
    let fake = FakeKubo::alone().await;
    let slow = stream::unfold(0, |i| async move {
        tokio::time::sleep(Duration::from_millis(60)).await;
        (i < 5).then(|| (Ok(noise(100)), i + 1))
    });
    let options = Add {
        stall: Duration::from_millis(100),
        ..Add::default()
    };
    fake.client()
        .add(AddBody::stream("output", slow), &options)
        .await
        .unwrap();
}

#[tokio::test]
async fn pins_are_named_listed_by_prefix_and_removed() {
    let fake = FakeKubo::alone().await;
    let client = fake.client();
    let named = Add {
        pin_name: Some("timerose/result/1".to_owned()),
        ..Add::default()
    };
    let first = client
        .add(AddBody::bytes("1".into()), &named)
        .await
        .unwrap()
        .cid;
    let second = add(&client, &Bytes::from_static(b"2")).await;
    let other = PinAdd {
        name: Some("my/timerose/2".to_owned()),
        ..PinAdd::default()
    };
    client.pin_add(&second, &other).await.unwrap();
    let pins = client.pin_ls(Some("timerose/")).await.unwrap();
    assert_eq!(pins.iter().map(|pin| pin.cid).collect::<Vec<_>>(), [first]);
    assert_eq!(client.pin_ls(None).await.unwrap().len(), 2);
    assert!(client.is_pinned_recursive(&first).await.unwrap());
    assert!(client.pin_rm(&first).await.unwrap());
    assert!(
        !client.pin_rm(&first).await.unwrap(),
        "an absent pin is no error"
    );
    assert!(!client.is_pinned_recursive(&first).await.unwrap());
}

#[tokio::test]
async fn a_pin_that_makes_no_progress_is_a_stall() {
    let fake = FakeKubo::alone().await;
    fake.set(|faults| faults.held = Held::Pin);
    let options = PinAdd {
        stall: Duration::from_millis(100),
        ..PinAdd::default()
    };
    let error = fake
        .client()
        .pin_add(&Codec::Raw.cid(b"x"), &options)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Stalled {
                command: "pin/add",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_dag_moves_as_a_car_and_arrives_pinned() {
    let (a, b) = (FakeKubo::alone().await, FakeKubo::alone().await);
    let cid = add(&a.client(), &noise(700_000)).await;
    let car = a.client().dag_export(&cid, &Cat::default()).await.unwrap();
    let car = car.collect(LIMIT).await.unwrap();
    let client = b.client();
    let whole = stream::iter([Ok(car.clone())]);
    assert_eq!(
        client
            .dag_import(whole, true, &Cat::default())
            .await
            .unwrap(),
        [cid]
    );
    assert!(client.is_pinned_recursive(&cid).await.unwrap());
    let stat = client.dag_stat(&cid, Fetch::local()).await.unwrap();
    assert_eq!((stat.blocks, stat.bytes), (4, 700_158));
    let half = stream::iter([Ok(car.slice(..car.len() / 2))]);
    assert!(
        client
            .dag_import(half, true, &Cat::default())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_root_that_cannot_be_pinned_is_an_error_in_spite_of_the_200() {
    let (a, b) = (FakeKubo::alone().await, FakeKubo::alone().await);
    let cid = add(&a.client(), &noise(10)).await;
    let car = a.client().dag_export(&cid, &Cat::default()).await.unwrap();
    let car = stream::iter([Ok(car.collect(LIMIT).await.unwrap())]);
    b.set(|faults| faults.pin_error = "no room".to_owned());
    let error = b
        .client()
        .dag_import(car, true, &Cat::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::PinFailed { .. }), "{error}");
}

#[tokio::test]
async fn blocks_are_fetched_from_a_neighbour_and_stay() {
    let net = FakeNet::new();
    let (a, b) = (FakeKubo::start(&net).await, FakeKubo::start(&net).await);
    let (bytes, client) = (noise(1000), b.client());
    let cid = add(&a.client(), &bytes).await;
    assert_eq!(client.block_stat(&cid, Fetch::local()).await.unwrap(), None);
    let got = client.block_get(&cid, Fetch::default()).await.unwrap();
    verify_block(&cid, &got).unwrap();
    assert_eq!(
        client.block_stat(&cid, Fetch::local()).await.unwrap(),
        Some(1000)
    );
    b.forget(&cid);
    assert_eq!(client.block_stat(&cid, Fetch::local()).await.unwrap(), None);
}
