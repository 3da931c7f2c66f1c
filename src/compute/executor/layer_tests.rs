//! Harmless layers arrive as they were; of others nothing arrives that does harm.

use futures_util::TryStreamExt;
use tar::{Builder, EntryType, Header};

use super::*;

/// What an engine is given of a layer that comes in pieces of `size` bytes, and
/// how that ends.
async fn given(layer: &[u8], size: usize) -> (Vec<u8>, Option<String>) {
    let pieces: Vec<_> = layer
        .chunks(size)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let mut stream = checked(stream::iter(pieces));
    let mut bytes = Vec::new();
    loop {
        match stream.try_next().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => return (bytes, None),
            Err(error) => return (bytes, Some(error.to_string())),
        }
    }
}

/// A layer with a file of each size, then one of this kind.
fn layer(sizes: &[usize], last: Option<EntryType>) -> Vec<u8> {
    let mut layer = Builder::new(Vec::new());
    let mut add = |name: &str, kind, size: usize| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        layer
            .append_data(&mut header, name, &vec![7; size][..])
            .unwrap();
    };
    for (number, size) in sizes.iter().enumerate() {
        add(&number.to_string(), EntryType::Regular, *size);
    }
    if let Some(kind) = last {
        add("last", kind, 0);
    }
    layer.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_layer_arrives_as_it_was() {
    for layer in [layer(&[0, 1, 200_000, 512], None), vec![0; 1024]] {
        for size in [500, 70_000, 1 << 20] {
            assert_eq!(given(&layer, size).await, (layer.clone(), None), "{size}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_holes_is_refused_before_the_engine_sees_it() {
    for size in [500, 70_000, 1 << 20] {
        let layer = layer(&[100_000], Some(EntryType::GNUSparse));
        let (bytes, error) = given(&layer, size).await;
        assert_eq!(error.as_deref(), Some("a layer has a file with holes"));
        assert!(bytes.len() < 100_000 + 2 * 512, "{}", bytes.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_are_seen_in_newer_headers_too() {
    let mut layer = Builder::new(Vec::new());
    let holes = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")];
    layer.append_pax_extensions(holes).unwrap();
    let mut header = Header::new_ustar();
    header.set_size(0);
    layer.append_data(&mut header, "file", io::empty()).unwrap();
    let (bytes, error) = given(&layer.into_inner().unwrap(), 1 << 20).await;
    assert_eq!(error.as_deref(), Some("a layer has a file with holes"));
    assert!(bytes.is_empty());
}

/// How a layer ends that has one entry more.
async fn with_entry(kind: EntryType, content: &[u8]) -> Option<String> {
    let mut layer = Builder::new(Vec::new());
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    layer.append_data(&mut header, "entry", content).unwrap();
    given(&layer.into_inner().unwrap(), 1 << 20).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_hides_behind_what_engines_read_otherwise() {
    let hidden = layer(&[], Some(EntryType::GNUSparse));
    for kind in [EntryType::Link, EntryType::Symlink, EntryType::Directory] {
        let error = with_entry(kind, &hidden).await;
        assert_eq!(
            error.as_deref(),
            Some("a layer has content where none can be")
        );
    }
    let error = with_entry(EntryType::XHeader, b"11 size=99\n").await;
    assert_eq!(
        error.as_deref(),
        Some("a layer has a file of more than 8 GiB")
    );
    let error = with_entry(EntryType::XHeader, &vec![b' '; 2 << 20]).await;
    assert_eq!(
        error.as_deref(),
        Some("a layer has a header that is too long")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compressed_or_no_archive_is_refused() {
    for begins in [&b"\x1f\x8b\x08"[..], b"\x28\xb5\x2f\xfd", b"BZh9", b"text"] {
        let (bytes, error) = given(&[begins, &[1; 4096]].concat(), 1000).await;
        let error = error.unwrap();
        assert!(error.starts_with("a layer is no TAR archive"), "{error}");
        assert!(bytes.is_empty());
    }
}
