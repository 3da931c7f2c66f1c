//! Code that no sandbox runs is refused before anything of it is stored.

use timerose::model::Class;

use crate::{node_whole::WholeNode, support::fake_kubo::FakeNet};

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_no_sandbox_offers_is_refused_before_anything_is_stored() {
    let node = WholeNode::start(&FakeNet::new(), &[]).await;
    let wat = "(module (import \"env\" \"system\" (func)) (func (export \"_start\")))";
    let blocks = node.kubo.blocks();
    let error = node.try_deploy(wat.as_bytes()).await.unwrap_err();
    assert_eq!(error.class, Class::User, "{error:?}");
    assert!(error.message.contains("env.system"), "{error:?}");
    assert_eq!(node.kubo.blocks(), blocks);
}
