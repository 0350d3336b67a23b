/** Major and minor number of a device as `stat` packs them. */
export interface DeviceNumber {
  readonly major: number
  readonly minor: number
}

/** Linux: glibc `sys/sysmacros.h`, gnu_dev_major and gnu_dev_minor. macOS: `sys/types.h`, major and minor. */
export function deviceNumber(packed: bigint, platform: NodeJS.Platform = process.platform): DeviceNumber {
  if (platform === 'darwin') return { major: Number(packed >> 24n) & 0xff, minor: Number(packed & 0xffffffn) }
  return {
    major: Number(((packed >> 8n) & 0xfffn) | ((packed >> 32n) & 0xfffff000n)),
    minor: Number((packed & 0xffn) | ((packed >> 12n) & 0xffffff00n)),
  }
}
