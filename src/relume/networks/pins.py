"""The sha256 of the converted tensors of networks (`weights.digest`): the same for every source of the weights. A network that is
not listed is verified by the hash prefix in the name of its source file. Its conversion writes the sha256 of the tensors to
`model.json`; add it here to pin the network."""

PINS: dict[str, str] = {
    "alexnet_conv": "65078f4ae735955cea6b405b0cc995d42efca810ff14521f83fecdc9dc5d7515",
    "efficientnet_lite0": "ec70883df081e289976bd2439e30329b571e062cf837f6eeb915f8b87434f597",
    "identity": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "lpips_alex": "93a6d7b5db45d8b7afc8bb81a6a3ad74bfa4d6d65069dcb9560aa85046b878a8",
    "lpips_squeeze": "427c2e8ccbd2a226dd5413af02f00436d7809e1d64ab0599fd9bb3af7b72ca67",
    "lpips_vgg": "bc76735f25ac3a40e810c0db23dc4ac9be71f0adefdc48da391d637e86b0da7e",
    "vgg16_conv": "7eb3f1600f703a04d87e5715b9df01ff2c8c331bd2fbbc706a38685ef8e8bdec",
}
