//! Archives of every kind become the same layout, and bad ones none.

use tar::{Builder, Header};

use super::*;

/// An entry: its name, what it is, its content or where it leads.
type Entry<'a> = (&'a str, EntryType, &'a str);

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, text) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        if *kind == EntryType::Regular {
            header.set_size(text.len() as u64);
            builder
                .append_data(&mut header, name, text.as_bytes())
                .unwrap();
        } else {
            header.set_size(0);
            builder.append_link(&mut header, name, text).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn laid(entries: &[Entry<'_>]) -> Result<(Image, tempfile::TempDir), Error> {
    let folder = tempfile::tempdir().unwrap();
    let image = write(&archive(entries)[..], folder.path(), 1 << 20).unwrap()?;
    Ok((image, folder))
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

const FILE: EntryType = EntryType::Regular;

#[test]
fn what_docker_saves_becomes_a_layout_that_is_read_again() {
    let entries = [
        ("a/layer.tar", FILE, "first"),
        ("b/layer.tar", EntryType::Symlink, "../a/layer.tar"),
        ("c.json", FILE, "{}"),
        (
            "manifest.json",
            FILE,
            r#"[{"Config":"c.json","RepoTags":["x:1"],"Layers":["a/layer.tar","b/layer.tar"]}]"#,
        ),
        ("repositories", FILE, "{}"),
    ];
    let (image, folder) = laid(&entries).unwrap();
    let first = Blob {
        digest: digest("first"),
        size: 5,
    };
    assert_eq!(image.layers, [first.clone(), first]);
    let read = |name: &str| fs::read(folder.path().join(ROOT).join(name)).unwrap();
    let manifest = oci::index(&read(oci::INDEX), oci::ARCHITECTURE).unwrap();
    assert_eq!(oci::manifest(&read(&manifest.path())).unwrap(), image);
    assert_eq!(read(&image.layers[0].path()), b"first");
    assert_eq!(read(&image.config.path()), b"{}");
    assert!(
        !String::from_utf8(read(ABOUT)).unwrap().contains("x:1"),
        "no tag travels"
    );
}

#[test]
fn an_oci_archive_of_the_same_image_gives_the_same_layout() {
    let saved = [
        ("l.tar", FILE, "layer"),
        ("c.json", FILE, "{}"),
        (
            "manifest.json",
            FILE,
            r#"[{"Config":"c.json","Layers":["l.tar"]}]"#,
        ),
    ];
    let (layer, config) = (digest("layer"), digest("{}"));
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"sha256:{config}","size":2}},"layers":[{{"digest":"sha256:{layer}","size":5}}]}}"#
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"digest":"sha256:{}","size":9,"annotations":{{"date":"today"}}}}]}}"#,
        digest(&manifest)
    );
    let path = |digest: &str| format!("./blobs/sha256/{digest}");
    let names = [path(&layer), path(&config), path(&digest(&manifest))];
    let oci = [
        (names[0].as_str(), FILE, "layer"),
        (names[1].as_str(), FILE, "{}"),
        (names[2].as_str(), FILE, manifest.as_str()),
        ("./index.json", FILE, index.as_str()),
        ("./oci-layout", FILE, "{}"),
    ];
    let ((one, first), (other, second)) = (laid(&saved).unwrap(), laid(&oci).unwrap());
    assert_eq!(one, other);
    let index =
        |folder: &tempfile::TempDir| fs::read(folder.path().join(ROOT).join(oci::INDEX)).unwrap();
    assert_eq!(index(&first), index(&second));
}

#[test]
fn nothing_leaves_the_folder_and_nothing_lies_beside_the_image() {
    let entries = [
        ("../../escaped", FILE, "x"),
        ("l", EntryType::Symlink, "/etc/passwd"),
        ("c.json", FILE, "{}"),
        (
            "manifest.json",
            FILE,
            r#"[{"Config":"c.json","Layers":[]}]"#,
        ),
    ];
    let mut builder = Builder::new(Vec::new());
    for (name, kind, text) in entries {
        let mut header = Header::new_ustar();
        header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(if kind == FILE { text.len() as u64 } else { 0 });
        header.set_cksum();
        builder
            .append(&header, if kind == FILE { text.as_bytes() } else { b"" })
            .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("deep/target");
    fs::create_dir_all(&target).unwrap();
    write(&builder.into_inner().unwrap()[..], &target, 1 << 20)
        .unwrap()
        .unwrap();
    assert!(!folder.path().join("escaped").exists());
    let layout = fs::read_dir(target.join(ROOT)).unwrap().count();
    assert_eq!(layout, 4, "oci-layout, index.json, manifest.json, blobs");
}

#[test]
fn what_is_no_single_image_is_refused_in_words() {
    let two = r#"[{"Config":"c","Layers":[]},{"Config":"c","Layers":[]}]"#;
    let gone = r#"[{"Config":"gone.json","Layers":[]}]"#;
    let circle = r#"[{"Config":"a","Layers":[]}]"#;
    for (entries, words) in [
        (vec![("x", FILE, "x")], "holds no image"),
        (vec![("manifest.json", FILE, two)], "holds 2 images"),
        (vec![("manifest.json", FILE, gone)], "lacks gone.json"),
        (
            vec![("manifest.json", FILE, "{")],
            "not of the wanted shape",
        ),
        (
            vec![
                ("manifest.json", FILE, circle),
                ("a", EntryType::Symlink, "a"),
            ],
            "lacks a",
        ),
    ] {
        let error = laid(&entries).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn an_archive_that_is_larger_than_what_is_taken_is_refused_at_once() {
    let bytes = archive(&[("x", FILE, &"x".repeat(2000))]);
    let folder = tempfile::tempdir().unwrap();
    let error = write(&bytes[..], folder.path(), 1000).unwrap().unwrap_err();
    assert!(matches!(error, Error::TooLarge(1000)), "{error}");
}

/// The layout of an archive with one layer of these bytes.
fn laid_layer(layer: &[u8]) -> Result<Image, Error> {
    let about = br#"[{"Config":"c.json","Layers":["l.tar","l.tar"]}]"#;
    let mut archive = Builder::new(Vec::new());
    for (name, content) in [
        ("l.tar", layer),
        ("c.json", b"{}"),
        ("manifest.json", about),
    ] {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content).unwrap();
    }
    let (bytes, folder) = (archive.into_inner().unwrap(), tempfile::tempdir().unwrap());
    write(&bytes[..], folder.path(), 1 << 20).unwrap()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_layer_is_the_same_however_it_was_compressed() {
    let layer = b"a layer";
    let plain = laid_layer(layer).unwrap();
    assert_eq!(plain, laid_layer(&gzipped(layer)).unwrap());
    let zstandard = zstd::encode_all(&layer[..], 1).unwrap();
    assert_eq!(plain, laid_layer(&zstandard).unwrap());
}

#[test]
fn a_layer_that_is_large_without_its_compression_is_refused() {
    let bomb = gzipped(&vec![0; 2 << 20]);
    assert!(bomb.len() < 20_000);
    let refused = laid_layer(&bomb);
    assert!(
        matches!(refused, Err(Error::TooLarge(0x10_0000))),
        "{refused:?}"
    );
    let half = gzipped(&vec![0; 600 << 10]);
    let refused = laid_layer(&half);
    assert!(
        matches!(refused, Err(Error::TooLarge(_))),
        "both count: {refused:?}"
    );
}
