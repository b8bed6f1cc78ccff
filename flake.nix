{
  description = "vane: vaned, an edge proxy, vane, its command line, and a NixOS module";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      each = f: lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: f nixpkgs.legacyPackages.${system});
      own = pkgs: self.packages.${pkgs.stdenv.hostPlatform.system};
    in
    {
      packages = each (pkgs: rec {
        vane = pkgs.callPackage ./package.nix { };
        default = vane;
      });

      overlays.default = final: _: { vane = final.callPackage ./package.nix { }; };

      nixosModules = rec {
        vaned =
          { pkgs, lib, ... }:
          {
            imports = [ ./nixos-module ];
            services.vaned.package = lib.mkDefault (own pkgs).vane;
          };
        default = vaned;
      };

      checks = each (
        pkgs:
        let
          machines =
            test:
            pkgs.testers.runNixOSTest {
              imports = [ test ];
              defaults.imports = [ self.nixosModules.default ];
            };
          cases = import ./nixos-module/tests/evaluate.nix { nixpkgsLib = lib; };
          system = lib.nixosSystem {
            inherit (pkgs.stdenv.hostPlatform) system;
            modules = [
              self.nixosModules.default
              {
                services.vaned.enable = true;
                services.vaned.rules.hello = {
                  listen = ":80";
                  respond.body = "hello";
                };
                system.stateVersion = lib.trivial.release;
              }
            ];
          };
        in
        {
          package = (own pkgs).vane;
          # What the module makes of the options, by nixpkgs' own `lib`.
          module =
            assert lib.assertMsg (cases.failed == [ ]) "these do not hold: ${toString cases.failed}";
            pkgs.writeText "vaned-module-cases" (lib.concatLines cases.passed);
          # The units and the checked configuration, as NixOS itself makes them.
          etc = system.config.system.build.etc;
          reload = machines ./nixos-module/tests/vm/reload.nix;
          acme = machines ./nixos-module/tests/vm/acme.nix;
          dual-stack = machines ./nixos-module/tests/vm/dual-stack.nix;
        }
      );

      devShells = each (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.cargo
            pkgs.clippy
            pkgs.rustc
            pkgs.rustfmt
            # What tests run beside vane.
            pkgs.knot-dns
            pkgs.pebble
            pkgs.testssl
          ];
        };
      });

      formatter = each (pkgs: pkgs.nixfmt-tree);
    };
}
