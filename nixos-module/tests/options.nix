# The options as lines of a table: name, default, meaning.
let
  inherit (import ./system.nix { modules = [ ]; }) lib options;

  default =
    option:
    if option ? defaultText then
      option.defaultText.text
    else if option ? default then
      builtins.toJSON option.default
    else
      null;

  rows =
    name: option:
    if lib.isOption option then
      [
        {
          inherit name;
          type = option.type.description;
          default = default option;
          description = option.description;
        }
      ]
    else
      lib.concatMap (inner: rows "${name}.${inner}" option.${inner}) (lib.attrNames option);
in
lib.concatMap (name: rows name options.services.vaned.${name}) (lib.attrNames options.services.vaned)
