//! Compiles the protocol definitions with a pure-Rust compiler, so that no protoc is needed.

fn main() -> anyhow::Result<()> {
    let files = protox::compile(["consilium/v1/node.proto", "consilium/v1/region.proto"], ["."])?;
    tonic_prost_build::configure().compile_fds(files)?;
    println!("cargo:rerun-if-changed=consilium");
    Ok(())
}
