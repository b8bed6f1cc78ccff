# What the flake offers, over a nixpkgs without packages: enough to read the names.
let
  lib = import ./stand-in.nix;
  nixpkgs = {
    inherit lib;
    legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: {
      stdenv.hostPlatform.system = system;
    });
  };
  outputs = (import ../../flake.nix).outputs {
    self = outputs;
    inherit nixpkgs;
  };
in
outputs
