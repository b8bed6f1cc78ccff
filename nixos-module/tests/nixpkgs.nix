# Stands in for nixpkgs as an input of the flake: what the flake and the package call, none of which
# builds anything.
let
  lib = import ./stand-in.nix // {
    assertMsg = condition: message: condition || throw message;
    concatLines = lines: lib.concatStrings (map (line: line + "\n") lines);
    fileset.unions = files: files;
    fileset.toSource = { root, fileset }: fileset;
    importTOML = path: builtins.fromTOML (builtins.readFile path);
    licenses.asl20 = "asl20";
    licenses.mit = "mit";
    nixosSystem =
      { system, modules }:
      {
        config.system.build.etc = nothing system "etc";
      };
    optionalString = condition: text: if condition then text else "";
    platforms.linux = [ ];
    throwIf = condition: message: value: if condition then throw message else value;
    trivial.release = "26.11";
    versionOlder = first: second: builtins.compareVersions first second < 0;
  };

  nothing =
    system: name:
    derivation {
      inherit system name;
      builder = "/bin/sh";
    };

  packages =
    system:
    let
      pkgs = lib.genAttrs programs (nothing system) // {
        inherit lib;
        callPackage = file: _: nothing system (called pkgs file).pname;
        mkShell = _: nothing system "shell";
        rustc.version = "1.95.0";
        rustPlatform.buildRustPackage = package: package;
        stdenv.buildPlatform = platform;
        stdenv.hostPlatform = platform;
        testers.runNixOSTest = _: nothing system "machines";
        writeText = name: _: nothing system name;
      };
      platform = {
        inherit system;
        canExecute = _: true;
      };
    in
    pkgs;

  called =
    pkgs: file:
    let
      function = import file;
    in
    function (builtins.intersectAttrs (builtins.functionArgs function) pkgs);

  programs = [
    "cargo"
    "clippy"
    "installShellFiles"
    "knot-dns"
    "nixfmt-tree"
    "pebble"
    "rustfmt"
    "testssl"
  ];
in
{
  inherit called lib;
  legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] packages;
}
