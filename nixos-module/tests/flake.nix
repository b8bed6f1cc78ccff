# What the flake offers, over what stands in for nixpkgs: enough to read the names.
let
  outputs = (import ../../flake.nix).outputs {
    self = outputs;
    nixpkgs = import ./nixpkgs.nix;
  };
in
outputs
