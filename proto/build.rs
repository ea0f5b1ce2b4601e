//! Compiles the protocol definitions with a pure-Rust compiler, so that no protoc is needed.

/// Every service's definitions.
const FILES: [&str; 3] =
    ["consilium/v1/node.proto", "consilium/v1/region.proto", "consilium/v1/witness.proto"];

fn main() -> anyhow::Result<()> {
    let files = protox::compile(FILES, ["."])?;
    tonic_prost_build::configure().compile_fds(files)?;
    println!("cargo:rerun-if-changed=consilium");
    Ok(())
}
