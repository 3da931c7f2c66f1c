//! `timerose image`: container images by CID.

use std::path::Path;

use futures_util::StreamExt as _;
use tokio_util::io::ReaderStream;

use super::{
    connect::connect,
    context::Context,
    exit::{Stop, file},
    table::{bytes, table},
};
use crate::{
    compute::{AddedImage, Failure, ImageSource, KeptImage},
    model::Class,
};

/// Bytes read of an archive at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Store container images, and let go of them
///
/// An image is stored on IPFS as a directory in the form of an OCI image layout: a layer that two
/// images share is stored, and moved, once. Executors load it by its CID.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose image add python:3.12-slim         of the engine beside this node
  docker save app | timerose image add -
  timerose image add app.tar                  as docker, podman or skopeo wrote it
  IMAGE=$(timerose image add -q app.tar)")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Store an image and print its CID
    Add {
        /// Name of an image in this machine's engine, an archive, or - for standard input
        #[arg(value_name = "IMAGE")]
        image: String,
    },
    /// List the images that are kept
    Ls,
    /// Let go of an image; engines that loaded it keep it
    Rm {
        /// The image's CID
        #[arg(value_name = "CID")]
        image: String,
    },
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        match self.command {
            Command::Add { image } => add(cx, &image).await,
            Command::Ls => {
                let node = connect(cx).await?;
                let images = node.client.images().await;
                node.close().await;
                cx.out.show(&images?, |images| list(images))
            }
            Command::Rm { image } => {
                let node = connect(cx).await?;
                let removed = node.client.remove_image(&image).await;
                node.close().await;
                cx.out.show(&removed?, |removed| removed.image.clone())
            }
        }
    }
}

async fn add(cx: &Context, image: &str) -> Result<(), Stop> {
    let from = source(image).await?;
    let progress = cx.out.progress();
    progress.say("connecting");
    let node = connect(cx).await?;
    progress.say("storing the image");
    let added = node.client.add_image(from).await;
    node.close().await;
    drop(progress);
    let added = added?;
    if cx.out.is_quiet() && !cx.out.is_json() {
        return cx.out.line(&added.image);
    }
    cx.out.show(&added, |added| added.image.clone())?;
    cx.out.note(summary(&added));
    Ok(())
}

fn summary(added: &AddedImage) -> String {
    let AddedImage { image, layers, .. } = added;
    format!(
        "{layers} layers, {}. Use it: [runtime.docker] image = \"{image}\" in timerose.toml",
        bytes(added.bytes)
    )
}

/// A file that is there is an archive; all else is a name in the engine.
async fn source(image: &str) -> Result<ImageSource, Failure> {
    if image == "-" {
        let pieces = ReaderStream::with_capacity(tokio::io::stdin(), PIECE_BYTES);
        return Ok(ImageSource::Archive(pieces.boxed()));
    }
    let path = Path::new(image);
    if !path.exists() {
        return Ok(ImageSource::Engine(image.to_owned()));
    }
    if path.is_dir() {
        let message = format!("{image} is a directory, and an archive is due");
        return Err(
            Failure::new(Class::User, "bad_image", message).with_hint(format!(
                "Of a layout: tar -C {image} -c . | timerose image add -"
            )),
        );
    }
    let opened = tokio::fs::File::open(path)
        .await
        .map_err(|e| file(path, &e))?;
    let pieces = ReaderStream::with_capacity(opened, PIECE_BYTES);
    Ok(ImageSource::Archive(pieces.boxed()))
}

fn list(images: &[KeptImage]) -> String {
    let rows = images
        .iter()
        .map(|one| vec![one.image.clone(), bytes(one.bytes)]);
    table(&["IMAGE", "SIZE"], rows)
}
