# vaned and vane, with what `vane` prints of itself.
{
  lib,
  rustPlatform,
  rustc,
  stdenv,
  installShellFiles,
}:
let
  inherit (lib.importTOML ./Cargo.toml) workspace;
  inherit (workspace.package) version rust-version;
in
lib.throwIf (lib.versionOlder rustc.version rust-version)
  "vane needs Rust ${rust-version}, and this nixpkgs has ${rustc.version}: build it with a newer nixpkgs"
  (
    rustPlatform.buildRustPackage {
      pname = "vane";
      inherit version;

      # Cargo wants the manifest of each member of the workspace; of the documents, the diagnostics are part
      # of the programs.
      src = lib.fileset.toSource {
        root = ./.;
        fileset = lib.fileset.unions [
          ./Cargo.lock
          ./Cargo.toml
          ./bench
          ./crates
          ./docs/diagnostics
          ./docs/schema
          ./examples
          ./integration
          ./xtask
        ];
      };
      cargoLock.lockFile = ./Cargo.lock;
      cargoBuildFlags = [
        "--package=vaned"
        "--package=vane"
      ];

      # The cryptography is C and assembly that a C compiler alone builds: neither CMake nor bindgen.
      nativeBuildInputs = [ installShellFiles ];

      # The compiler needs nothing around it. The daemon is tested by `cargo xtask test`, with other programs
      # beside it, and by the virtual machines of the flake.
      checkType = "debug";
      cargoTestFlags = [ "--package=vane-core" ];

      postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
        $out/bin/vane man > vane.1
        installManPage vane.1
        for shell in bash zsh fish; do
          $out/bin/vane completions $shell > vane.$shell
        done
        installShellCompletion vane.bash vane.fish --zsh --name _vane vane.zsh
      '';

      meta = {
        description = "Edge proxy for TCP and HTTP";
        license = [
          lib.licenses.mit
          lib.licenses.asl20
        ];
        mainProgram = "vaned";
        platforms = lib.platforms.linux;
      };
    }
  )
